"""`python -m bascule.sieve`: results, reasons, exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bascule.sieve.__main__ import main
from bascule.sieve.convert import parsed
from bascule.sieve.explain import MOST, explain, quoted
from bascule.sieve.language import strings, table
from bascule.sieve.syntax import Number, Tag

from tests.unit.sieve.reading import Case, cases


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "main.sieve"


def test_a_right_filter_comes_out_identical(file: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    script = b'# \xc3\xa9\r\nrequire "fileinto";\nfileinto "A";'
    file.write_bytes(script)
    assert main(["convert", str(file)]) == 0
    assert capfdbinary.readouterr() == (script, b"")


def test_edits_and_their_reasons_are_told(file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text('require "fileinto";\nfileinto "INBOX.A";\n')
    folders = tmp_path / "folders.yaml"
    folders.write_text("INBOX.A: Lists/A\n")
    assert main(["convert", "--folder-map", str(folders), str(file)]) == 0
    out, err = capfd.readouterr()
    assert out == 'require "fileinto";\nfileinto "Lists/A";\n'
    assert "line 2, column 10: the folder 'INBOX.A' is 'Lists/A' on the new server [folder-name]" in err


def test_a_folder_map_may_tell_of_separators(file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text('require "fileinto";\nfileinto "INBOX.A.B";\n')
    folders = tmp_path / "folders.json"
    folders.write_text('{"old_separator": ".", "new_separator": "/", "old_prefix": "INBOX."}')
    assert main(["convert", "--folder-map", str(folders), str(file)]) == 0
    assert 'fileinto "A/B";' in capfd.readouterr().out


def test_problems_are_listed_with_status_3(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text('if exists "Subject:" { stop; }\n')
    assert main(["convert", str(file)]) == 3
    out, err = capfd.readouterr()
    assert out == 'if exists "Subject:" { stop; }\n'
    assert "line 1, column 11: problem: " in err


def test_what_is_no_script_has_status_1_and_a_place(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text("keep\n")
    assert main(["convert", str(file)]) == 1
    out, err = capfd.readouterr()
    assert (out, "line 2, column 1" in err) == ("", True)


def test_everything_as_json(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text('require "imapflags";\nmark;\nif exists "Subject:" { stop; }\n')
    assert main(["convert", "--json", str(file)]) == 3
    told = json.loads(capfd.readouterr().out)
    assert [edit["rule"] for edit in told["edits"]] == ["extension-renamed", "imapflags"]
    assert (told["problems"][0]["rule"], told["problems"][0]["line"]) == ("header-name", 3)
    assert 'exists "Subject"' in told["proposed"]


def test_procmail_becomes_sieve(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text(":0\n! ailleurs@example.org\n\n:0\n| vacation\n")
    assert main(["convert", str(file)]) == 3
    out, err = capfd.readouterr()
    assert out.splitlines()[1:3] == ['redirect "ailleurs@example.org";', "stop;"]
    assert "a person must compare both forms before it is used" in err
    assert "line 4 of the procmailrc is not carried over" in err


def test_procmail_is_never_made_without_a_word(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text(":0\n! ailleurs@example.org\n")
    assert main(["convert", str(file)]) == 3
    assert "a person must compare both forms" in capfd.readouterr().err


def test_the_folders_of_recipes_are_those_of_the_map(
    file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file.write_text("MAILDIR=$HOME/Maildir\n:0\n.Work/\n")
    folders = tmp_path / "folders.yaml"
    folders.write_text("names: {INBOX: INBOX, INBOX.Work: Projects}\nold_separator: .\nold_prefix: INBOX.\n")
    assert main(["convert", "--folder-map", str(folders), str(file)]) == 3
    assert 'fileinto :create "Projects";' in capfd.readouterr().out


@pytest.mark.parametrize(
    "script", ["/*\n:0\n* ^Subject:.*x\n/dev/null\n*/\nkeep;\n", 'require "vacation";\nvacation text:\n:0\n.\n;\n']
)
def test_a_sieve_script_with_a_recipe_in_a_comment_or_a_text_is_none(
    file: Path, capfd: pytest.CaptureFixture[str], script: str
) -> None:
    file.write_text(script)
    assert main(["convert", str(file)]) == 0
    assert capfd.readouterr().out == script


def test_check_names_each_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, text in (("a", "keep;"), ("b", "keep"), ("c", 'if exists "X:" { stop; }')):
        (tmp_path / name).write_text(text)
    assert main(["check", *(str(tmp_path / name) for name in "abc")]) == 1
    out = capfd.readouterr().out
    assert [line.split(":")[0].rsplit("/", 1)[1] for line in out.splitlines()] == ["b", "c"]
    assert main(["check", str(tmp_path / "a")]) == 0
    assert main(["check", str(tmp_path / "c")]) == 3


def test_check_goes_on_after_a_file_that_it_cannot_read(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b").write_text('if exists "X:" { stop; }')
    assert main(["check", str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    missing, problem = capfd.readouterr().out.splitlines()
    assert missing == f"{tmp_path}/a: can't be read: No such file or directory"
    assert "b: line 1, column 11: problem: " in problem


LATIN_1 = b'require "fileinto";\n# r\xe8gle\nif header :is "Subject" "\xe9" { fileinto "INBOX.R\xe9unions"; }\n'
STRICT = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}


def in_a_strict_locale(*words: str | bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "bascule.sieve", *words]
    return subprocess.run(command, env=os.environ | STRICT | environment, capture_output=True, check=False)


@pytest.mark.parametrize("environment", [{}, {"PYTHONIOENCODING": "ascii:strict"}, {"LC_ALL": "C.UTF-8"}])
def test_octets_that_are_not_utf_8_are_told_in_any_locale(tmp_path: Path, environment: dict[str, str]) -> None:
    file = os.fsencode(tmp_path) + b"/r\xe8gle.sieve"
    Path(os.fsdecode(file)).write_bytes(LATIN_1)
    folders = tmp_path / "folders.yaml"
    folders.write_text("INBOX.Réunions: Meetings\n", encoding="utf-8")
    done = in_a_strict_locale("convert", "--json", "--folder-map", str(folders), file, **environment)
    assert (done.returncode, done.stderr) == (3, b"")
    told = json.loads(done.stdout)
    assert told["proposed"].splitlines()[1:] == [
        "# règle", 'if header :is "Subject" "é" { fileinto "Meetings"; }'
    ]  # fmt: skip
    done = in_a_strict_locale("convert", file, **environment)
    assert (done.returncode, done.stdout) == (3, LATIN_1)
    assert done.stderr.startswith(file + b": line 2")
    for word, status in (("check", 3), ("explain", 3)):
        done = in_a_strict_locale(word, file, **environment)
        assert (done.returncode, done.stderr) == (status, b"")
        assert {"check": "é".encode(), "explain": b"\\xe9"}[word] in done.stdout


def test_what_an_edit_takes_over_is_utf_8_in_what_is_proposed(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(b'require ["fileinto", "notify"];\nnotify :options "a@b.c" :message "\xe9t\xe9";\n')
    assert main(["convert", "--json", str(file)]) == 3
    assert ':message "été"' in json.loads(capfd.readouterr().out)["proposed"]


def test_a_name_with_control_characters_does_not_drive_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path / "\x1b[2Ja\nb")]) == 1
    assert capfd.readouterr().out.endswith("\\u001b[2Ja\\u000ab: can't be read: No such file or directory\n")


def test_a_fault_of_bascule_is_a_sentence_and_stops_no_other_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(text: str) -> None:
        if "boom" in text:
            raise OverflowError("character too large")

    monkeypatch.setattr("bascule.sieve.__main__.looks_like_procmail", fails)
    for name, text in (("a", "# boom\n"), ("b", 'if exists "X:" { stop; }')):
        (tmp_path / name).write_text(text)
    assert main(["check", str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    fault, problem = capfd.readouterr().out.splitlines()
    assert fault.startswith(f"{tmp_path}/a: Bascule has a fault") and "Overflow" not in fault
    assert "b: line 1" in problem
    for word in ("convert", "explain"):
        assert main([word, str(tmp_path / "a")]) == 1
        assert capfd.readouterr().err == f"{fault}\n"


def test_a_byte_order_mark_is_no_error_anywhere(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(b"\xef\xbb\xbfkeep;\n")
    for word in ("convert", "check", "explain"):
        assert main([word, str(file)]) == 0
    assert "keep the message" in capfd.readouterr().out


def test_check_and_explain_take_a_procmailrc(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text(":0\n! ailleurs@example.org\n\n:0\n| vacation\n")
    assert main(["check", str(file)]) == 3
    out = capfd.readouterr().out
    assert "a procmailrc: lines are counted in the Sieve script" in out
    assert "line 4 of the procmailrc is not carried over" in out
    assert main(["explain", str(file)]) == 3
    assert "'ailleurs@example.org'" in capfd.readouterr().out


def test_explain_names_some_of_a_thousand_places(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text('if exists "X:" { stop; }\n' * 1000)
    assert main(["explain", str(file)]) == 3
    assert "19, 20 and 980 more; asks first" in capfd.readouterr().out


def test_explain_says_what_a_filter_does(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text(
        'require "fileinto";\nif header :contains "Subject" ["a", "b"] {\n  fileinto "Lists";\n  stop;\n}\n'
    )
    assert main(["explain", str(file)]) == 0
    assert capfd.readouterr().out.splitlines() == [
        "   1  uses 'fileinto'",
        "   2  if the header 'Subject' contains 'a' or 'b':",
        "   3    file it into the folder 'Lists'",
        "   4    end here",
    ]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ('if currentdate :value "ge" "date" "2024-01-01" { keep; }', "the 'date' of today is at least '2024-01-01'"),
        ('if header :count "gt" "X" "5" { keep; }', "the number of values of the header 'X' is more than '5'"),
        ('if exists ["A", "B"] { keep; }', "the header 'A' and 'B' is there"),
        ('if address :domain ["From", "To"] "a.b" { keep; }', "the domain of the address in 'From' or 'To' is 'a.b'"),
        ('if address :user :contains "To" "a" { keep; }', "the part before the + of the address in 'To' contains 'a'"),
        ('if envelope :detail :matches "to" "a*" { keep; }',
         "the part between + and @ of the address in the envelope's 'to' matches 'a*'"),
        ('if header :comparator "i;octet" :index 2 :last "A" "b" { keep; }',
         "the header 'A' is 'b' (letter for letter, number 2, from the last one)"),
        ('if header :mime :anychild :type "Content-Type" "image" { keep; }',
         "the header 'Content-Type' is 'image' (in the headers of the message's parts (MIME), also in all parts "
         "inside, of a content type the part before the slash)"),
        ('if not size :under 10K { keep; }', "not (the message is under 10K)"),
        ('if hasflag ["v"] ["a", "b"] { keep; }', "one of its flags is 'a' or 'b' (in the variable 'v')"),
        ('if mailboxexists ["A", "B"] { keep; }', "the folder 'A' and 'B' exists"),
        ('keep :flags ["\\\\Seen", "a"];', "keep the message in the inbox (flagged '\\Seen', 'a')"),
        ('fileinto :copy :create :flags "a" "B";',
         "file it into the folder 'B' (a copy, the rest of the rules go on, made when missing, flagged 'a')"),
        ('set :lower :upperfirst "a" "b";', "remember 'b' as 'a' (in small letters, the first letter a capital)"),
        ('vacation :days 7 :subject "s" :from "f" :addresses ["a", "b"] :handle "h" :mime "r";',
         "answer that the owner is away, with the words 'r' (not more often than every 7 days, subject 's', from 'f', "
         "also for 'a', 'b', known as 'h', as a whole MIME part)"),
        ('notify :message "m" :importance "1" "mailto:a@b.c";',
         "send a notification to 'mailto:a@b.c' (message 'm', importance '1')"),
        ('notify :method "mailto" :options ["a@b.c"];', "send a notification to 'a@b.c' (by 'mailto')"),
        ('frobnicate :odd 5 "x" ["y", "z"];', "frobnicate :odd 5 'x' 'y', 'z'"),
    ],
)  # fmt: skip
def test_explain_says_all_that_a_command_does(
    file: Path, capfd: pytest.CaptureFixture[str], command: str, said: str
) -> None:
    file.write_text(command)
    main(["explain", str(file)])
    assert said in capfd.readouterr().out.splitlines()[0]


@pytest.mark.parametrize("case", [case for case in cases() if case.kind != "refused"], ids=str)
def test_explain_leaves_nothing_out(case: Case) -> None:
    script = parsed(case.text)
    said = "\n".join(explain(script))
    words, relations = table("words"), {*table("words")["relations"], *table("words")["comparators"]}
    for node in script.walk():
        for argument in node.arguments:
            if isinstance(argument, Number):
                assert argument.text in said
            elif isinstance(argument, Tag):
                assert argument.name in {*words["tags"], *words["tags_of_tests"]} or argument.name in {
                    *words["matches"], *words["parts"], "value", "count", "comparator", "options", "method",
                } or f":{argument.name}" in said.lower()  # fmt: skip
            for string in strings(argument)[:MOST] if len(strings(argument)) <= MOST else []:
                assert string.value in relations or quoted(string.value) in said


def test_a_file_that_is_not_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(tmp_path / "nothing")]) == 1
    assert "nothing" in capfd.readouterr().err

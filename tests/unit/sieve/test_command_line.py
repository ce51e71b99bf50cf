"""`python -m bascule.sieve`: results, reasons, exit status."""

import json
from pathlib import Path

import pytest
from bascule.sieve.__main__ import main


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
    assert out.startswith('redirect "ailleurs@example.org";')
    assert "the recipe in line 4 of the procmailrc is not carried over" in err


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


def test_check_and_explain_take_a_procmailrc(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text(":0\n! ailleurs@example.org\n\n:0\n| vacation\n")
    assert main(["check", str(file)]) == 3
    out = capfd.readouterr().out
    assert "a procmailrc: lines are counted in the Sieve script" in out
    assert "the recipe in line 4 of the procmailrc is not carried over" in out
    assert main(["explain", str(file)]) == 0
    assert "'ailleurs@example.org'" in capfd.readouterr().out


def test_explain_names_some_of_a_thousand_places(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text('if exists "X:" { stop; }\n' * 1000)
    assert main(["explain", str(file)]) == 0
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


def test_a_file_that_is_not_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(tmp_path / "nothing")]) == 1
    assert "nothing" in capfd.readouterr().err

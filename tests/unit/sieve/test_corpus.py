"""The corpus of filters: what must come of each, without any server."""

import contextlib
import time
from dataclasses import replace

import pytest
from bascule.sieve.convert import convert
from bascule.sieve.language import required, table
from bascule.sieve.parser import parse
from bascule.sieve.plan import read, write
from bascule.sieve.procmail import looks_like_procmail, to_sieve
from bascule.sieve.syntax import SieveSyntaxError

from tests.unit.sieve.reading import BUSY_SECONDS, CONTEXT, Case, cases, hostile, hostile_recipes, megabytes

# A new server with next to nothing, and a folder that is left out.
STRICT = replace(
    CONTEXT, extensions=frozenset({"fileinto"}), notify_methods=frozenset(), redirects=0, global_scripts={},
    old_global_scripts={}, left_out=frozenset({"INBOX.Travail"}),
)  # fmt: skip
CRLF = [case for case in cases("rules", "editors", "dialects") if case.kind != "refused"]


def of_kind(kind: str) -> list[Case]:
    return [case for case in cases() if case.kind == kind]


def named(found: list[Case]) -> dict[str, object]:
    return {"argvalues": found, "ids": str}


def test_the_corpus_has_enough_scripts() -> None:
    assert len(cases()) + len(cases("procmail")) + len(hostile()) >= 150


def test_the_corpus_meets_every_rule() -> None:
    met = {"not-parsable"}  # the kind of what stands in broken.txt
    texts = [case.text for case in cases()] + [read(data) for data in hostile().values() if len(data) < 1000]
    for text in texts + [to_sieve(case.text.partition("--- becomes\n")[0])[0] for case in cases("procmail")]:
        for context in (CONTEXT, STRICT):
            with contextlib.suppress(SieveSyntaxError):
                conversion = convert(text, context)
                met |= {found.rule for found in (*conversion.edits, *conversion.findings)}
    assert set(table("rules")["rules"]) - met == set()


def test_the_corpus_meets_every_word_and_extension() -> None:
    words, extensions = set(), set()
    for case in cases():
        with contextlib.suppress(SieveSyntaxError):
            script = parse(case.text)
            words |= {("tests" if node.is_test else "commands", node.name) for node in script.walk()}
            extensions |= {string.value for _, string in required(script)}
    assert {(kind, word) for kind in ("tests", "commands") for word in table("language")[kind]} - words == set()
    assert {*table("rules")["known_extensions"], *table("rules")["without_words"]} - extensions == set()


@pytest.mark.parametrize("case", **named(of_kind("identical")))
def test_what_is_right_comes_out_identical(case: Case) -> None:
    conversion = convert(case.text, CONTEXT)
    assert conversion.text == case.text
    assert conversion.proposed == case.text
    assert not conversion.findings


@pytest.mark.parametrize("case", **named(of_kind("edits")))
def test_what_keeps_the_behaviour_is_edited_by_the_rules_named(case: Case) -> None:
    conversion = convert(case.text, CONTEXT)
    assert sorted(edit.rule for edit in conversion.edits) == case.rules
    assert not conversion.findings
    parse(conversion.text)


@pytest.mark.parametrize("case", **named(of_kind("asks")))
def test_what_changes_the_behaviour_is_asked(case: Case) -> None:
    conversion = convert(case.text, CONTEXT)
    assert sorted(finding.rule for finding in conversion.findings) == case.rules
    parse(conversion.proposed)


@pytest.mark.parametrize("case", **named(of_kind("refused")))
def test_what_is_no_script_is_refused_with_its_place(case: Case) -> None:
    with pytest.raises(SieveSyntaxError) as refused:
        convert(case.text, CONTEXT)
    assert f"{refused.value.line}:{refused.value.column}" == case.what


@pytest.mark.parametrize("case", **named(of_kind("edits") + of_kind("asks")))
def test_converting_twice_is_converting_once(case: Case) -> None:
    once = convert(case.text, CONTEXT)
    for text in (once.text, once.proposed):
        twice = convert(text, CONTEXT)
        assert (twice.text, twice.edits) == (text, ())


@pytest.mark.parametrize("case", **named(CRLF))
def test_line_ends_stay_as_they_are(case: Case) -> None:
    lf, crlf = convert(case.text, CONTEXT), convert(case.text.replace("\n", "\r\n"), CONTEXT)
    assert crlf.text.replace("\r\n", "\n") == lf.text
    assert [edit.rule for edit in crlf.edits] == [edit.rule for edit in lf.edits]


@pytest.mark.parametrize("case", **named(of_kind("edits") + of_kind("asks")))
def test_comments_survive(case: Case) -> None:
    conversion = convert(case.text, CONTEXT)
    for line in case.text.splitlines():
        if line.startswith(("#", "/*", " *")):
            assert line in conversion.text
            assert line in conversion.proposed


@pytest.mark.parametrize("name", sorted(hostile()))
def test_hostile_scripts_are_converted_or_refused_in_time(name: str) -> None:
    data = hostile()[name]
    began = time.process_time()
    try:
        conversion = convert(read(data), CONTEXT)
    except SieveSyntaxError as error:
        assert error.line >= 1
        assert error.column >= 1
    else:
        if not conversion.edits:
            assert write(conversion.text) == data
    assert time.process_time() - began < BUSY_SECONDS


@pytest.mark.parametrize("name", sorted(megabytes()))
def test_a_megabyte_is_converted_in_time(name: str) -> None:
    text = megabytes()[name]
    began = time.process_time()
    with contextlib.suppress(SieveSyntaxError):
        convert(text, STRICT)
    assert time.process_time() - began < BUSY_SECONDS


@pytest.mark.parametrize("name", sorted(hostile_recipes()))
def test_hostile_recipes_are_read_in_time(name: str) -> None:
    text = hostile_recipes()[name]
    began = time.process_time()
    looks_like_procmail(text)
    parse(to_sieve(text)[0])
    assert time.process_time() - began < BUSY_SECONDS


def test_a_byte_order_mark_is_cut() -> None:
    assert convert("\ufeffkeep;\n").text == "keep;\n"


def test_latin_1_is_proposed_as_utf_8_and_kept_until_decided() -> None:
    data = b'# r\xe8gle\nif header :contains "Subject" "\x93\xe9t\xe9\x94" { keep; }\n'
    conversion = convert(read(data), CONTEXT)
    assert write(conversion.text) == data
    assert [finding.rule for finding in conversion.findings] == ["not-utf-8"]
    assert conversion.proposed == '# règle\nif header :contains "Subject" "“été”" { keep; }\n'


@pytest.mark.parametrize("case", **named(cases("procmail")))
def test_procmail(case: Case) -> None:
    recipe, _, expected = case.text.partition("--- becomes\n")
    assert looks_like_procmail(recipe) or "=" in recipe or case.what == "1"
    text, left = to_sieve(recipe)
    parse(text)
    if case.kind == "sieve":
        assert text == expected
        assert not left
    else:
        assert [item.line for item in left] == [int(line) for line in case.what.split()]

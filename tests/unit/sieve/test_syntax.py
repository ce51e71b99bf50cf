"""The grammar: any text is parsed or refused with its place, in time that grows with its length."""

import contextlib
import time

import pytest
from bascule.sieve.convert import convert
from bascule.sieve.model import Context
from bascule.sieve.parser import parse
from bascule.sieve.plan import read, write
from bascule.sieve.syntax import Node, Number, SieveSyntaxError, String, StringList, Tag, quote, string_value
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.sieve.reading import BUSY_SECONDS, CONTEXT

WORDS = [
    "if", "elsif", "else", "require", "keep", "fileinto", "header", "anyof", "not", "set", "vacation", "notify", "mark",
    "redirect", ":contains", ":copy", ":matches", '"Subject:"', '"INBOX.Travail"', '"fileinto"', '"imapflags"',
    '"variables"', '"${a}"', '"moi@old.obs.test"', '"a\\"b"', "[", "]", "(", ")", "{", "}", ",", ";", ":", "100K",
    "text:\nx\n.\n", "# c\n", "/* c */", " ", "\r\n", "\n", "\ufeff", "\0", "é", '"',
]  # fmt: skip
token_soup = st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)

names = st.sampled_from(["keep", "stop", "frobnicate", "x_1", "fileinto"])
strings = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12).map(quote)
arguments = st.one_of(
    strings,
    st.lists(strings, min_size=1, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
    st.sampled_from([":is", ":x", "1", "20K"]),
)
spaces = st.sampled_from([" ", "\t", "\r\n", "\n", " # note\n", " /* note */ "])


@st.composite
def calls(draw: st.DrawFn, tests: st.SearchStrategy[str] | None = None) -> str:
    words = [draw(names), *draw(st.lists(arguments, max_size=3))]
    if tests is not None and draw(st.booleans()):
        several = draw(st.lists(tests, min_size=1, max_size=3))
        words.append(several[0] if len(several) == 1 else f"({', '.join(several)})")
    return draw(spaces).join(words)


def block(parts: tuple[str, list[str]]) -> str:
    return f"{parts[0]} {{{' '.join(parts[1])}}}"


all_tests = st.recursive(calls(), calls, max_leaves=4)
commands = st.recursive(
    calls(all_tests).map(lambda call: f"{call};"),
    lambda inner: st.tuples(calls(all_tests), st.lists(inner, max_size=3)).map(block),
    max_leaves=5,
)
scripts = st.lists(st.tuples(commands, spaces).map("".join), max_size=5).map("".join)


@given(scripts)
@settings(max_examples=100, deadline=None)
def test_every_script_of_the_grammar_is_parsed_and_comes_out_identical(text: str) -> None:
    parse(text)
    assert convert(text, Context()).text == text or "fileinto" in text


@given(st.one_of(st.text(), token_soup, st.binary().map(read)))
@example("a:1")
@example("text:\n.\n")
@example(": : :")
@example('header :is "a"')
@settings(max_examples=300, deadline=None)
def test_any_text_is_converted_or_refused_with_its_place(text: str) -> None:
    try:
        conversion = convert(text, CONTEXT)
    except SieveSyntaxError as error:
        lines = text.split("\n")
        assert 1 <= error.line <= len(lines)
        assert 1 <= error.column <= len(lines[error.line - 1]) + 1
    else:
        if not conversion.edits:
            assert conversion.text == text
        if not conversion.findings:
            parse(conversion.text)


@given(scripts)
@settings(max_examples=100, deadline=None)
def test_converting_twice_is_converting_once(text: str) -> None:
    once = convert(text, CONTEXT).text
    assert convert(once, CONTEXT).text == once


@given(st.binary())
@settings(deadline=None)
def test_octets_come_out_as_they_went_in(data: bytes) -> None:
    assert write(read(data)) == data


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
@settings(deadline=None)
def test_a_quoted_value_is_read_back(value: str) -> None:
    assert string_value(quote(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        '# x\nif anyof (header :contains ["Subject","To"] ["a","b"], address "From" "a@b.c")\n{\n keep;\n}\n' * 11_000,
        "keep;" * 200_000,
        'x ["' + '", "' * 250_000 + '"];',
        "if " + "not " * 250_000 + "true;",
        "a{" * 330_000 + "}" * 330_000,
        "/*" * 500_000,
        "#" * 1_000_000,
        '"\\' * 500_000,
        "text:\n" * 160_000,
    ],
    ids=["real", "commands", "list", "tests", "blocks", "comment", "hash", "backslashes", "texts"],
)  # fmt: skip
def test_a_megabyte_is_parsed_in_time(text: str) -> None:
    began = time.process_time()
    with contextlib.suppress(SieveSyntaxError):
        parse(text)
    assert time.process_time() - began < BUSY_SECONDS


def test_the_tree_says_where_everything_stands() -> None:
    text = 'if header :is ["a", "b"] "c" { keep; } # e\nstop;'
    condition, stop = parse(text).commands
    test = condition.tests[0]
    assert text[condition.start : condition.end] == text[: text.index(" #")]
    assert text[test.start : test.end] == 'header :is ["a", "b"] "c"'
    assert [type(argument) for argument in test.arguments] == [Tag, StringList, String]
    assert (stop.name, text[stop.start : stop.end]) == ("stop", "stop;")
    assert [node.name for node in condition.walk()] == ["if", "header", "keep"]
    assert isinstance(condition, Node)


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("2k", 2048), ("3M", 3 << 20), ("1G", 1 << 30)])
def test_numbers_have_quantifiers(text: str, value: int) -> None:
    number = parse(f"x {text};").commands[0].arguments[0]
    assert isinstance(number, Number)
    assert number.value == value


def test_a_multi_line_string_loses_its_dots() -> None:
    string = parse("x text: # why\r\n..a\r\nb\r\n.\r\n;").commands[0].arguments[0]
    assert isinstance(string, String)
    assert string.value == ".a\r\nb\r\n"

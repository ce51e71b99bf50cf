"""What `check` says of an error, against Debian's `sievec`: one row for one script, and whether that compiler takes it.

Rows have no `require`: what their words need is put before them.
"""

import shutil

import pytest
from bascule.sieve.convert import convert
from bascule.sieve.language import needed
from bascule.sieve.parser import parse
from bascule.sieve.rules.expressions import expression_error
from bascule.sieve.syntax import SieveSyntaxError, quote
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sieve_tools import Pigeonhole, pigeonhole
from tests.unit.sieve.test_compiler_oracle import FULL

__all__ = ["pigeonhole"]  # a fixture
pytestmark = [
    pytest.mark.skipif(not shutil.which("sievec"), reason="no sievec on this machine"),
    pytest.mark.timeout(7200 if FULL else 300),
]
REFUSED = {"not-compiling", "stray-colon", "require-missing", "require-conflict"}
NO, YES = False, True

ROWS = [
    # Tags: too few, too many, twice, without the one that they belong to.
    ("if size 5 {}", NO), ("if size :over :under 5 {}", NO), ("if size :over :over 5 {}", NO),
    ("if size :over 5K {}", YES), ('fileinto :copy :copy "x";', NO), ('fileinto :create :create "x";', NO),
    ('fileinto :copy :create "x";', YES), ('redirect :copy :copy "a@b.c";', NO), ('keep :flags "a" :flags "b";', NO),
    ('if header :comparator "i;octet" :comparator "i;octet" "a" "b" {}', NO), ('if header :is :is "a" "b" {}', NO),
    ('if address :all :all "a" "b" {}', NO), ('if address :localpart :domain "a" "b" {}', NO),
    ('if envelope :user :all "from" "b" {}', NO), ('if address :all :is "from" "b" {}', YES),
    ('vacation :days 1 :days 2 "x";', NO), ('vacation :days 1 :seconds 2 "x";', NO),
    ('vacation :mime :mime "x";', NO), ('vacation :subject "a" :subject "b" "x";', NO),
    ('vacation :days 1 :subject "a" "x";', YES), ('if date :zone "+0100" :zone "+0100" "date" "year" "1" {}', NO),
    ('if date :zone "+0100" :originalzone "date" "year" "1" {}', NO),
    ('if currentdate :zone "+0100" :zone "+0100" "year" "1" {}', NO), ('if header :index 1 :index 2 "a" "b" {}', NO),
    ('if header :last "a" "b" {}', NO), ('if header :index 1 :last "a" "b" {}', YES),
    ('if header :index 1 :last :last "a" "b" {}', YES), ('if header :index 0 "a" "b" {}', NO),
    ('if header :mime :mime "a" "b" {}', NO), ('if header :anychild "a" "b" {}', NO),
    ('if header :mime :anychild "a" "b" {}', YES), ('if header :mime :anychild :anychild "a" "b" {}', YES),
    ('if header :type "a" "b" {}', NO), ('if header :mime :type "a" "b" {}', YES),
    ('if header :mime :type :subtype "a" "b" {}', NO), ('if header :mime :param "x" :param "y" "a" "b" {}', NO),
    ('if body :raw :text "b" {}', NO), ('if body :raw :raw "b" {}', NO), ('if body :content "x" :text "b" {}', NO),
    ('if body :content "x" "b" {}', YES), ('set :lower :upper "a" "b";', NO), ('set :lower :lower "a" "b";', NO),
    ('set :lowerfirst :upperfirst "a" "b";', NO), ('set :lower :upperfirst :length "a" "b";', YES),
    ('notify :importance "1" :importance "2" "mailto:a@b.c";', NO), ('addheader :last :last "X-A" "b";', NO),
    ('deleteheader :index 1 :index 2 "X-A";', NO), ('deleteheader :last "X-A";', NO),
    ('deleteheader :index 1 :last "X-A";', YES), ('deleteheader :is :contains "X-A" "b";', NO),
    ('include :personal :global "x";', NO), ('include :personal :personal "x";', NO),
    ('if duplicate :handle "a" :handle "b" {}', NO), ('if duplicate :header "a" :uniqueid "b" {}', NO),
    ('if duplicate :handle "a" :header "b" {}', YES),
    # Addresses.
    ('redirect "x";', NO), ('redirect "";', NO), ('redirect "a b@c.d";', NO), ('redirect "a@b, d@e.f";', NO),
    ('redirect "a@b..c";', NO), ('redirect "a@c.d.";', NO), ('redirect "é@b.c";', NO), ('redirect "x:;";', NO),
    ('redirect "a@b";', YES), ('redirect "Me <a@b.c>";', YES), ('redirect "M. D (x) <a@b.c>";', YES),
    ('redirect " <a@b.c> ";', YES), ('redirect "a@[1.2.3.4]";', YES), ('redirect "\\"a b\\"@c.d";', YES),
    ('redirect "a..b@c_d.e";', YES), ('redirect "a (x)@c.d (y)";', YES), ('redirect "a@é.c";', YES),
    ('set "x" "a@b"; redirect "${x}";', YES), ('set "x" "a@b"; redirect "x${x";', NO), ('redirect "${x}";', NO),
    ('vacation :from "me" "y";', NO), ('vacation :from "" "y";', NO), ('vacation :addresses "x" "y";', YES),
    ('notify :from "x" "mailto:a@b.c";', NO), ('notify "foo";', NO), ('notify "";', NO), ('notify "mailto:x";', NO),
    ('notify "mailto:a@b.c?to=x";', NO), ('notify "MAILTO:a@b.c?to=d@e.f&subject=x";', YES),
    ('notify "mailto:a%40b.c";', YES), ('notify :importance "5" "mailto:a@b.c";', NO),
    # Other values.
    ('if header :value "bad" "a" "b" {}', NO), ('if header :value "" "a" "b" {}', NO),
    ('if header :count "bad" "a" "1" {}', NO), ('if header :count "ge" "a" "1" {}', YES),
    ('set "v" "ge"; if header :value "${v}" "a" "b" {}', NO), ('deleteheader :value "x" "X-A" "b";', NO),
    ('if header :comparator "i;bad" "a" "b" {}', NO), ('set "1a" "b";', NO), ('set "1" "b";', NO), ('set "" "b";', NO),
    ('set "a-b" "b";', NO), ('set "é" "b";', NO), ('set "${a}" "b";', NO), ('set "_a1" "b";', YES),
    ('set "a.b" "c";', NO), ('set "a" "${b.c}";', NO), ('set "a" "${b.}${1a}";', YES),
    ('set "a" "x"; setflag "1a" "x";', NO), ('require "imap4flags"; setflag "a" "x";', NO), ('setflag "a" "x";', YES),
    ('global "1a";', NO),
    ('foreverypart { extracttext "1a"; }', NO), ('include "a/b";', NO), ('include "";', NO),
    ('set "x" "y"; include "${x}";', NO), ("break;", NO), ("foreverypart { if true { break; } }", YES),
    ('foreverypart :name "a" { break :name "b"; }', NO), ('foreverypart :name "a" { break :name "a"; }', YES),
    ('if envelope "bad" "x" {}', NO), ('if envelope ["From", "to"] "x" {}', YES), ('if address "Subject" "x" {}', NO),
    ('if address ["From", "Message-Id"] "x" {}', NO), ('if address "Resent-From" "x" {}', YES),
    ("if size :over 99999999999999999999 {}", NO), ("if size :over 5000G {}", YES),
    # Characters by number: RFC 5228 section 2.4.2.4.
    ('require "encoded-character"; redirect "${unicode:D800}@b.c";', NO),
    ('require "encoded-character"; if header "a" ["b", "x${unicode: 41 DFFF}"] {}', NO),
    ('require "encoded-character"; if header "a" "${unicode:110000}" {}', NO),
    ('require "encoded-character"; if header "a" "${unicode:FFFFFFFFFFFF}" {}', NO),
    ('require "encoded-character"; if header "a" "${unicode:10FFFF}${unicode:0}${hex:ff}${hex:100}" {}', YES),
    ('require "encoded-character"; redirect "${hex:61}";', NO),
    ('require "encoded-character"; redirect "${hex:61 40 62}";', YES), ('if header "a" "${unicode:D800}" {}', YES),
    ('require "encoded-character"; if false { redirect "${unicode:D800}"; }', YES),
    # Regular expressions: every kind of error that the compiler tells.
    *((f'if header :regex "a" {quote(text)} {{}}', NO) for text in (
        "(", "a(b", "[", "[a", "[]", "[^]", "[[:a", "*a", "(*a)", "a|+b", "^*", "$?", "(?i)a", "{", "a{", "a{1", "a{x}",
        "a{}", "a{2,1}", "a{99999}", "\\", "\\1", "(a\\1)", "[z-a]", "[a-[:digit:]]", "[[:foo:]]", "[[:ALPHA:]]",
    )),
    *((f'if header :regex "a" {quote(text)} {{}}', YES) for text in (
        "a)", "", "a||b", "()", "()*", "a**", "a?*", "a}", "a{,3}", "a{2,}", "a{1}{2}", "(a)\\1", "\\d", "[]a]", "[a-]",
        "[-a]", "[[.x.]]", "[[=a=]]", "[[:alpha:]]", "[Z-_]", "\\(", "a\\{", "^$",
    )),
    ('if header :regex "a" ["ok", "("] {}', NO), ('if hasflag :regex "(" {}', NO), ('if body :regex "(" {}', NO),
    ('deleteheader :regex "X-A" "(";', NO), ('set "x" ""; if header :regex "a" "(${x}" {}', YES),
    ('if header :contains "a" "(" {}', YES),
    # Parts of matches.
    ('set "a" "${32}";', YES), ('set "a" "${33}";', NO), ('if header "a" "x${99}" { set "a" ""; }', NO),
    ('set "b" ""; if header "a" ["y", "x${99}"] {}', NO), ('set "a" "${009}";', YES),
    ('set "a" "${99999999999999999999}";', NO), ('if false { set "a" "${99}"; }', YES), ('if header "a" "${99}" {}',
    YES),
    # Notifications.
    ('notify "mailto:a@b.c,,d@e.f";', NO), ('notify "mailto:a@b.c,";', NO), ('notify "mailto:a@b.c?subject=a b";', NO),
    ('notify "mailto:a@b.c?x=é";', NO), ('notify "mailto:a%2";', NO), ('notify "mailto:a@b.c?subject=%zz";', NO),
    ('notify "mailto:a@b.c?subject=%00";', NO), ('notify "mailto:a@b.c?subject=x?y";', NO), ('notify "mailto:";', YES),
    ('notify "mailto:a@b.c?";', YES), ('notify "mailto:?to=a@b.c&body=x%0d%0ay";', YES),
    ('notify "mailto:a@b.c?subject=(x),:y&x=$!\'*+;@";', YES),
    # Everybody's variables.
    ('set "a" "b"; global "a";', NO), ('set "A" "b"; global ["c", "a"];', NO), ('set "a" "b"; global "b";', YES),
    ('global "a"; set "a" "b"; global "a";', YES), ('if header "x" "${a}" {} global "a";', NO),
    ('if true { set "a" "b"; } global "a";', NO), ('if false { set "a" "b"; } global "a";', YES),
    ('if anyof (true, string "${a}" "") {} global "a";', YES), ('set "b" "${global.a}"; global "a";', YES),
    ('keep :flags "${a}"; set "b" ""; global "a";', NO), ('import "a"; export "b"; global "a";', YES),
    ('keep; import "a";', NO), ('global "a"; export "b";', NO), ('if true { import "a"; }', NO),
    ('set "global.a.b" "c";', NO), ('set "x" "${global.a.b}"; global "y";', NO),
    # Extensions that nobody has.
    ('require "frob"; keep;', NO), ('require "Fileinto"; keep;', NO), ('require ""; keep;', NO),
    ('require ["fileinto", "regexp"]; keep;', NO), ('require "comparator-"; keep;', NO),
    # Extensions of which the second took the place of the first.
    ('require ["imap4flags", "imapflags"]; keep;', NO), ('require ["imapflags", "imap4flags"]; mark;', NO),
    ('require "imapflags"; mark;', YES), ('require ["enotify", "notify"]; keep;', NO),
    ('require ["enotify", "notify"]; notify "mailto:a@b.c";', NO),
]  # fmt: skip


def with_require(script: str) -> str:
    if script.startswith("require"):
        return script
    names = [names[0] for _, names in needed(parse(script)) if names[0] != "comparator-i;bad"]
    return "".join(f'require "{name}";\n' for name in dict.fromkeys(names)) + script


def refused(script: str) -> list[str]:
    """What `check` says that no server compiles."""
    return [finding.message for finding in convert(script).findings if finding.rule in REFUSED]


@pytest.mark.parametrize(("script", "accepted"), ROWS, ids=[row[0] for row in ROWS])
def test_what_the_compiler_refuses_is_named_and_nothing_else(
    pigeonhole: Pigeonhole, script: str, accepted: bool
) -> None:
    whole = with_require(script)
    said = pigeonhole.compiled(whole, old=True)
    assert ("error" not in said) == accepted, said
    assert (not refused(whole)) == accepted, refused(whole)


PIECES = ["a", "b.c", "@", "@", "<", ">", ",", ";", ":", " ", ".", "é", "(x)", "(", '"', '"q r"', "\\", "[1]", "-", "+"]


@settings(deadline=None, max_examples=4000 if FULL else 100, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
def test_no_address_that_compiles_is_called_wrong(pigeonhole: Pigeonhole, address: str) -> None:
    script = f'redirect "{address.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}";'
    try:
        said = refused(script)
    except SieveSyntaxError:
        return
    if said:
        assert "error" in pigeonhole.compiled(script), said


PARTS = [
    "a", "b", "(", ")", "[", "]", "*", "+", "?", "{", "}", "|", "^", "$", "\\", "1", "2", ",", "-", ".", ":", "[:",
    "alpha", ":]", "=", "Z", "_", "{1}", "{2,3}", "[a-z]", "[^", "é", "<", "w",
]  # fmt: skip


@settings(deadline=None, max_examples=800 if FULL else 60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.sampled_from(PARTS), max_size=7).map("".join), min_size=1, max_size=12))
def test_of_regular_expressions_those_are_called_wrong_that_the_compiler_refuses(
    pigeonhole: Pigeonhole, expressions: list[str]
) -> None:
    right = [one for one in expressions if not expression_error(one)]
    tests = "".join(f'if header :regex "a" {quote(one)} {{}}\n' for one in right)
    assert "invalid regular expression" not in pigeonhole.compiled(f'require "regex";\n{tests}')
    for wrong in set(expressions) - set(right):
        assert "error" in pigeonhole.compiled(f'require "regex"; if header :regex "a" {quote(wrong)} {{}}'), wrong


URI_PARTS = [
    "a@b.c",
    "a",
    "@",
    ",",
    "?",
    "&",
    "=",
    "to=",
    "cc=",
    "subject=",
    "X-A=",
    "%20",
    "%",
    "%4",
    "é",
    " ",
    ":",
    "/",
    ".",
]


@settings(deadline=None, max_examples=4000 if FULL else 60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(URI_PARTS), max_size=7).map("".join))
def test_no_notification_that_compiles_is_called_wrong(pigeonhole: Pigeonhole, rest: str) -> None:
    script = f'require "enotify"; notify {quote("mailto:" + rest)};'
    if said := refused(script):
        assert "error" in pigeonhole.compiled(script), said

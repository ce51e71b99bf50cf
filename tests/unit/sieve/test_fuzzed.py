"""Whatever stands in a filter or a procmailrc, and whatever a ManageSieve server says: a sentence, a problem, or the
right result. Never a Python exception.

A short form by default; long with BASCULE_TEST_DEPTH=full.
"""

import io
import os
import time

import pytest
from bascule.sieve.explain import explain, why
from bascule.sieve.managesieve import Verdict, _listed
from bascule.sieve.managesieve_answers import AnswerReader, Line, ManageSieveError
from bascule.sieve.parser import parse
from bascule.sieve.plan import Plan, make, page, read
from bascule.sieve.procmail import MADE, Left, looks_like_procmail, to_sieve
from bascule.sieve.script_problem import problem
from bascule.sieve.syntax import SieveSyntaxError
from bascule.text.logs import NOTHING, Logger
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.unit.sieve.reading import BUSY_SECONDS, CONTEXT, cases

FULL = os.environ.get("BASCULE_TEST_DEPTH") == "full"
fuzzed = settings(max_examples=20_000 if FULL else 150, deadline=None, suppress_health_check=list(HealthCheck))
pytestmark = pytest.mark.timeout(7200 if FULL else 300)


@pytest.fixture(autouse=True)
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Logger, "least", NOTHING)


def mutated(bases: list[bytes], tokens: list[bytes]) -> st.SearchStrategy[bytes]:
    """One of these texts with some places cut, doubled, or overwritten by something odd."""
    piece = st.sampled_from(tokens) | st.binary(max_size=6)
    change = st.tuples(st.integers(0, 4), st.integers(0, 2000), st.integers(0, 2000), piece)
    return st.builds(_changed, st.sampled_from(bases), st.lists(change, max_size=5))


def _changed(octets: bytes, changes: list[tuple[int, int, int, bytes]]) -> bytes:
    for act, one, other, token in changes:
        at, to = sorted((one % (len(octets) + 1), other % (len(octets) + 1)))
        octets = {
            0: octets[:at] + octets[to:],
            1: octets[:to] + octets[at:to] + octets[to:],
            2: octets[:at],
            3: octets[:at] + token + octets[at + len(token) :],
            4: octets[:at] + token + octets[at:],
        }[act]
    return octets


# -- filters

TOKENS = [
    b"if ", b"elsif ", b"else ", b"require ", b"keep;", b"stop;", b'"fileinto"', b'"variables"', b'"regex"',
    b'"notify"', b'"encoded-character"', b'"imapflags"', b'"ihave"', b'"include"', b"${99}", b"${1}",
    b"${unicode:D800}", b"${hex:ff}", b":regex ", b":matches ", b":comparator ", b'"i;octet"', b":contains ",
    b":copy ", b":create ", b"not ", b"anyof (", b"allof (", b"header ", b"set ", b"global ", b"notify ",
    b'"mailto:a@b"', b"vacation ", b"redirect ", b"100K", b"99999999999999999999", b"text:\n", b"\r\n.\r\n", b"/*",
    b"*/", b"#", b'"', b"\\", b"[", b"]", b"(", b")", b"{", b"}", b",", b";", b":", b"\0", b"\xff", b"\xc3",
    b"\xef\xbb\xbf", b"\xe2\x80\x8b", b"\r", b"\n", b" " * 50, b"INBOX.",
]  # fmt: skip
SCRIPTS = [case.text.encode("utf-8", "surrogateescape") for case in cases() if len(case.text) < 1500]


def made(octets: bytes, *, accepted: bool, procmail: bool = False) -> Plan:
    """What becomes of it, with its problem and its page."""
    words = 'line 1: error: unknown command "x".\r\n\x07\xff'
    plan = make("main", octets, CONTEXT, lambda script: Verdict(accepted, words), procmail=procmail)
    assert not plan.fault, plan.reason
    found = problem(plan, "ann")
    if found is None:
        assert plan.faithful is not None
    else:
        assert found.explanation and "Traceback" not in found.explanation
    assert page(plan, octets)["before"] is not None
    return plan


@fuzzed
@given(mutated(SCRIPTS, TOKENS), st.booleans())
def test_any_filter_is_a_plan_or_a_problem(octets: bytes, accepted: bool) -> None:
    plan = made(octets, accepted=accepted)
    try:
        script = parse(read(octets))
    except SieveSyntaxError as error:
        assert str(error)
        return
    assert all(isinstance(line, str) for line in explain(script))
    assert plan.conversion is not None
    assert all(isinstance(line, str) for line in why(plan.conversion))


# -- procmailrcs

RECIPES = [case.text.partition("--- becomes\n")[0].encode() for case in cases("procmail")]
PROCMAIL = [
    b":0\n", b":0 c\n", b":0:\n", b":0 c: lock\n", b":", b"0", b"* ", b"* !", b"* ^TO_", b"* ^Subject:.*", b"* > 100\n",
    b"* ? test\n", b"* 1^1 ", b"* B ?? ", b"{\n", b"}\n", b"{ ", b" }", b"/dev/null\n", b"! a@b.c\n", b"| cat\n",
    b"a/\n", b".a.b/\n", b"$DEFAULT\n", b"$HOME/Mail/x\n", b"MAILDIR=$HOME/Mail\n", b"DEFAULT=x\n", b"X=`date`\n",
    b"X=$X$X\n", b"INCLUDERC=x\n", b"# comment\n", b"\\\n", b"\\", b"'", b'"', b"`", b"$", b"${", b"}", b"${X", b"[",
    b"]", b"[^", b"(", b")", b"((", b"|", b"*", b"+", b"?", b"\\/", b"\\<", b"\\>", b"^", b"\0", b"\xff", b"\xc3\xa9",
    b"\r", b"\r\n", b"\n", b"\x0b", b"\x85", b"\xe2\x80\xa8", b"\t", b" " * 40, b"a" * 3000,
]  # fmt: skip


@fuzzed
@given(mutated(RECIPES, PROCMAIL) | st.lists(st.sampled_from(PROCMAIL), max_size=30).map(b"".join))
@example(b":0\n{\n" * 60)
@example(b":0\n* " + b"(" * 60 + b"\nx\n")
@example(b"\xc2\x85:0\n/dev/null")
@example(b":0\nDEFAULT=$MAILDIR/\n")
@example(b":0\n\0/Maildir/x/\n")
def test_any_procmailrc_is_sieve_with_what_is_left_out_by_its_line(octets: bytes) -> None:
    text = read(octets)
    looks_like_procmail(text)
    script, left = to_sieve(text, CONTEXT.folders, frozenset({"fileinto", "copy"}))
    assert script.startswith(MADE)
    parse(script)
    lines = text.count("\n") + 1
    assert all(1 <= each.line <= lines and each.message and "\n" not in each.message for each in left)
    assert_nothing_is_thrown_away_behind_what_is_left_out(script, left)
    plan = made(octets, accepted=True, procmail=True)
    assert plan.faithful is None, "nobody has compared both forms"


def assert_nothing_is_thrown_away_behind_what_is_left_out(script: str, left: list[Left]) -> None:
    if left:
        behind = script[script.index("# procmail, line") :]
        commands = [line.strip() for line in behind.splitlines() if not line.lstrip().startswith("#")]
        assert not [line for line in commands if line.startswith(("discard", "redirect"))]


@pytest.mark.parametrize(
    "piece",
    [b":0\n{\n", b":0 ", b"X=$X$X\n", b"* (a|", b"\\\n", b":0\n* ^Subject:.*(a|b)*\nx\n", b"'", b"{", b"! a@b.c,"],
    ids=repr,
)
def test_a_large_procmailrc_is_read_in_time(piece: bytes) -> None:
    text = read(b":0\n" + piece * (200_000 // len(piece)))
    began = time.process_time()
    looks_like_procmail(text)
    parse(to_sieve(text)[0])
    assert time.process_time() - began < BUSY_SECONDS


# -- what servers say

SAID = [
    b"OK\r\n", b"NO\r\n", b'OK "done"\r\n', b'NO (QUOTA/MAXSCRIPTS) "full"\r\n', b'NO (TAG {3}\r\nabc) "x"\r\n',
    b"BYE\r\n", b'BYE (REFERRAL "sieve://x") {4}\r\nbye!\r\n', b'"main" ACTIVE\r\n', b'"x"\r\n', b"{5}\r\nhello\r\n",
    b"{5+}\r\nhello", b"{0}\r\n\r\n", b"{99999999999}\r\n", b"{999999999999999999999}\r\n", b"{-1}\r\n", b"{", b"}",
    b'"', b"\\", b'"a\\"b"', b'"a\\\\" ACTIVE', b'"SIEVE" "fileinto copy"\r\n', b'"IMPLEMENTATION" "x"\r\n',
    b'"VERSION"\r\n', b"ACTIVE", b"active", b"OK ", b"NO ", b"ok ", b"(", b")", b" ", b"\r\n", b"\n", b"\r", b"\0",
    b"\xff", b"\xc3\xa9",
]  # fmt: skip


def answers(octets: bytes) -> AnswerReader:
    """Reads what a server has sent before the connection ended."""
    stream = io.BytesIO(octets)

    def line() -> bytes:
        found = stream.readline(65_536)
        if not found.endswith(b"\n"):
            raise ManageSieveError("old:4190 closed the connection in the middle of an answer")
        return found.rstrip(b"\r\n")

    def data(size: int) -> bytes:
        found = stream.read(size)
        if len(found) < size:
            raise ManageSieveError("old:4190 closed the connection in the middle of a script")
        return found

    return AnswerReader(line, data, "old:4190")


@fuzzed
@given(st.lists(st.sampled_from(SAID) | st.binary(max_size=8), max_size=12).map(b"".join))
def test_any_octets_are_answers_or_a_sentence(octets: bytes) -> None:
    reader = answers(octets)
    try:
        for _ in range(20):
            answer = reader.answer()
            assert answer.kind in ("OK", "NO", "BYE") and isinstance(answer.words, str)
            assert answer.capabilities is None or answer.capabilities["IMPLEMENTATION"]
            names = [_listed(line) for line in answer.data]
            assert all(isinstance(name, bytes) and isinstance(active, bool) for name, active in names)
    except ManageSieveError as error:
        assert "old:4190" in str(error)


TEXTS = st.binary(max_size=40)


def _quoted(text: bytes) -> bytes:
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _literal(text: bytes) -> bytes:
    return b"{%d}\r\n%s" % (len(text), text)


@fuzzed
@given(st.lists(st.tuples(TEXTS, st.booleans(), st.booleans()), max_size=6), TEXTS)
def test_what_an_honest_server_says_is_read_to_the_byte(scripts: list[tuple[bytes, bool, bool]], words: bytes) -> None:
    lines = []
    for name, active, as_literal in scripts:
        quotable = not as_literal and not {*name} & {*b"\r\n"}
        lines.append((_quoted(name) if quotable else _literal(name)) + b" ACTIVE" * active + b"\r\n")
    answer = answers(b"".join(lines) + b"OK (WARNINGS) " + _literal(words) + b"\r\n").answer()
    assert (answer.kind, answer.code, answer.words.encode("utf-8")) == ("OK", "WARNINGS", _shown(words))
    assert [_listed(line) for line in answer.data] == [(name, active) for name, active, _ in scripts]
    assert all(isinstance(line, Line) for line in answer.data)


def _shown(octets: bytes) -> bytes:
    return octets.decode("utf-8", errors="backslashreplace").encode()

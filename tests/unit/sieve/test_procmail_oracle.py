"""What is made of procmail recipes, against real procmail on the one side and `sieve-test` on the other."""

import os
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from bascule.sieve.parser import parse
from bascule.sieve.procmail import to_sieve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.corpus.messages import message as lab_message
from tests.sieve_tools import Outcome, Pigeonhole, pigeonhole, procmail, sieve_outcome
from tests.unit.sieve.reading import Case, cases

__all__ = ["pigeonhole"]  # a fixture
FULL = os.environ.get("BASCULE_TEST_DEPTH") == "full"
MAILDIR = "MAILDIR=$HOME/Mail\n"
pytestmark = [
    pytest.mark.skipif(not shutil.which("procmail"), reason="no procmail on this machine"),
    pytest.mark.timeout(7200 if FULL else 300),
]


def message(subject: str = "Hello", sender: str = "bob@x.test", to: str = "me@obs.test", more: str = "") -> bytes:
    return f"From: {sender}\nTo: {to}\nSubject: {subject}\n{more}\nbody\n".encode()


SUBJECTS = [
    "Big sale today",
    "wholesale",
    "sale",
    "report",
    "Re: report of 2019",
    "[astro-fr] x",
    "foo",
    "xfoo",
    "",
    "a",
]
MESSAGES = [message(subject) for subject in SUBJECTS] + [
    message(to="list@obs.test"), message(to="Some <my-list@obs.test>"), message(to="x.list@obs.test, a@b.c"),
    message(to="listing@obs.test", more="Cc: list@obs.test\n"), message(more="X-Spam-Flag: YES\n"),
    message(more="Resent-To: list@obs.test\n"), message(sender="Boss <boss@example.org>"),
    message(sender="bossXexample"), message(more="X-Envelope-To: list@obs.test\nX-Spam-Flag: no, YES\n"),
]  # fmt: skip


def both(pigeonhole: Pigeonhole, recipes: str, mail: bytes) -> tuple[Outcome, Outcome | None]:
    script, _ = to_sieve(MAILDIR + recipes)
    return procmail(MAILDIR + recipes, mail), sieve_outcome(pigeonhole.actions(script, mail))


CONDITIONS = [
    "^Subject:.*sale", "^Subject:.* sale", "^Subject: sale", "^Subject:sale", "^Subject:.*sale$", "^Subject: report$",
    "^Subject:[ \t]*report", "^Subject: *report", "^Subject:.*re.ort", "^Subject:.*(report|sale)", "^Subject:.*[0-9]+",
    r"^Subject:.*\[astro-fr\]", r"^Subject:.*\<foo\>", r"^Subject:.*[^a-z]foo", "^Subject:.*r.*t.*2", "^Subject:.+o",
    "^Subject:", "^Subject:.*", "^X-None:", "^(To|Cc):.*list@", "^To:.*list|^Cc:.*list", "^TO_list@obs.test",
    "^TOlist@", "^TO_.*obs", "^TO list", "^From:.*boss@example.org", r"^From:.*boss@example\.org", "^X-Spam-Flag: YES",
    "! ^X-Spam-Flag:.*yes", "!^Subject:.*sale", "!! ^Subject:.*sale", "^Subject: (Big|Small) sale", "^Subject:.*(a|)b",
    "^((Resent-)?To):.*list@", "^Subject:.*s(al)?e", "^Subject:.*.ale", "^Subject: .*sale", "^Subject:.*{",
    "^Subject:.*a*$", "^subject:.*SALE", "^Subject:( a|.*le$)", "^Subject:.*[]x]", "^TO_(me|you)@",
    "^Subject:.*(x|xf)oo",
]  # fmt: skip


def test_a_condition_means_the_same_or_is_left_out(pigeonhole: Pigeonhole) -> None:
    """All in one file: each stores a copy in a folder of its own."""
    recipes = "".join(f":0 c\n* {condition}\nhit-{number}/\n" for number, condition in enumerate(CONDITIONS))
    script, left = to_sieve(MAILDIR + recipes)
    assert [item.line for item in left] == [2 + 3 * CONDITIONS.index("^Subject:sale")]
    assert pigeonhole.compiled(script) == ""
    with ThreadPoolExecutor(len(MESSAGES)) as pool:  # procmail sleeps for a second behind each four names of files
        done = list(pool.map(lambda mail: procmail(MAILDIR + recipes, mail), MESSAGES))
    for mail, real in zip(MESSAGES, done, strict=True):
        ours = sieve_outcome(pigeonhole.actions(script, mail))
        assert ours is not None
        hit = [CONDITIONS[int(name.partition("-")[2])] for name in ours.folders ^ real.folders]
        assert hit in ([], ["^Subject:sale"]), mail


@pytest.mark.parametrize("case", [case for case in cases("procmail") if case.kind == "sieve"], ids=str)
def test_the_corpus_acts_the_same(pigeonhole: Pigeonhole, case: Case) -> None:
    recipes = case.text.partition("--- becomes\n")[0]
    if "MAILDIR" in recipes:
        pytest.skip("its paths are no directories here")
    for mail in MESSAGES[::4]:
        real, ours = both(pigeonhole, recipes, mail)
        assert ours == real, mail


WORDS = st.sampled_from(["sale", "report", "foo", "Big", "x", "2019", "astro"])
PATTERNS = st.one_of(
    WORDS, st.tuples(WORDS, st.sampled_from([".*", " ", ".", "[0-9]", "( |-)"]), WORDS).map("".join),
    st.tuples(WORDS, WORDS).map(lambda both: f"({both[0]}|{both[1]})"), WORDS.map(lambda word: f"{word}$"),
    WORDS.map(lambda word: rf"\<{word}"), WORDS.map(lambda word: f"[^a-z]{word}"),
)  # fmt: skip
HEADERS = st.sampled_from(["Subject", "From", "(To|Cc)", "X-Spam-Flag", "List-Id"])
CONDITION = st.one_of(
    st.tuples(st.just("^"), HEADERS, st.sampled_from([":.*", ": ", ":[ \t]*", ":", ":.* "]), PATTERNS).map("".join),
    st.tuples(st.sampled_from(["^TO_", "^TO"]), PATTERNS).map("".join),
    st.tuples(HEADERS, PATTERNS).map(lambda c: f"{c[0]}:.*{c[1]}"),  # not at the beginning: can't be carried
    st.just("> 100"), st.just("? test -f x"), st.just("B ?? sale"), st.just("1^1 ^Subject:.*a"),
)  # fmt: skip
CONDITIONS_OF_ONE = st.lists(st.tuples(st.sampled_from(["", "! "]), CONDITION).map("".join), max_size=2)
ACTIONS = st.sampled_from(
    ["a", "b/", ".c.d/", '"e f" # comment', "/dev/null", "! one@x.test", "!two@x.test three@x.test", "$DEFAULT",
     "| true", "$HOME/Mail/g", "$HOME/elsewhere", "$UNKNOWN/h"]
)  # fmt: skip
FLAGS = st.sampled_from(["", "", "", " c", "c:", ":", " w", "B", "h", " A", "   # comment"])


@st.composite
def recipes(draw: st.DrawFn, depth: int = 0) -> str:
    lines = []
    for _ in range(draw(st.integers(1, 4 if depth == 0 else 2))):
        if draw(st.integers(0, 9)) == 0:
            lines.append(draw(st.sampled_from(["# note", "X=a # b", "VERBOSE=off", "Y=`date`", "", "Z=${X}"])))
        lines.append(f":0{draw(FLAGS)}")
        lines += [f"* {condition}" for condition in draw(CONDITIONS_OF_ONE)]
        if depth < 2 and draw(st.integers(0, 4)) == 0:
            lines += ["{", draw(recipes(depth + 1)).rstrip("\n"), "}"]
        else:
            lines.append(draw(ACTIONS))
    return "\n".join(lines) + "\n"


MAILS = st.builds(
    message,
    st.lists(st.sampled_from(["sale", "report", "foo", "Big", "x-foo", "2019", "astro", "no"]), max_size=3).map(
        " ".join
    ),
    st.sampled_from(["bob@x.test", "Boss <boss@report.test>", "foo <x@sale.test>"]),
    st.sampled_from(["me@obs.test", "sale@obs.test", "x-foo@obs.test, report <y@z.test>"]),
    st.sampled_from(["", "Cc: astro@obs.test\n", "X-Spam-Flag: report\n", "List-Id: <astro.sale>\n"]),
)


@settings(max_examples=500 if FULL else 25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(recipes(), st.lists(MAILS, min_size=1, max_size=3))
def test_what_is_made_of_any_recipes_loses_nothing(pigeonhole: Pigeonhole, rules: str, mails: list[bytes]) -> None:
    """All carried: it does what procmail does. Something left out: it throws nothing away and sends nothing on that
    procmail would not."""
    script, left = to_sieve(MAILDIR + rules)
    parse(script)
    for mail in mails:
        real, ours = procmail(MAILDIR + rules, mail), sieve_outcome(pigeonhole.actions(script, mail))
        assert ours is not None, script
        if not left:
            assert ours == real, (script, mail)
        assert ours.folders or not real.folders or ours.sent_to, (script, mail)
        assert ours.sent_to <= real.sent_to, (script, mail)


def test_windows_line_ends_are_told_and_nothing_is_thrown_away(pigeonhole: Pigeonhole) -> None:
    """procmail takes the carriage return for a part of the condition."""
    recipes = ":0\r\n* ^Subject:.*sale\r\n/dev/null\r\n"
    script, left = to_sieve(recipes)
    assert [item.line for item in left] == [1, 1]
    assert "line ends" in left[0].message
    assert sieve_outcome(pigeonhole.actions(script, MESSAGES[0])) == procmail(recipes, MESSAGES[0])


OWN_RULES = """
:0
* ^From:.*direction@obs\\.test
from-the-director/
:0 c
* ^Subject: Observing run [0-9]+: weather
copies/
:0 c
* ^TO_moi@
* ^From:.*(tanaka|koehler)@
! adjoint@obs.test
:0
* ^From:.*@zenith\\.
/dev/null
:0
* ^Subject:.*\\<report$
weather/
"""


def test_a_persons_own_mail_goes_where_it_went(pigeonhole: Pigeonhole) -> None:
    """The practice site's mail, in French: names and most subjects are encoded (RFC 2047)."""
    rng, seen = random.Random(7), set()
    script, left = to_sieve(MAILDIR + OWN_RULES)
    assert left == []
    for number in range(30):
        mail = lab_message(rng, ("Moi", "moi@obs.test"), datetime(2019, 7, 1, tzinfo=UTC), str(number))
        mail = mail.replace(b"\r\n", b"\n")
        real, ours = procmail(MAILDIR + OWN_RULES, mail), sieve_outcome(pigeonhole.actions(script, mail))
        assert ours == real, mail
        seen.add(real)
    assert len(seen) >= 4

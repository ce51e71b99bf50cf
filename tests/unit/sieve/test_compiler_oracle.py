"""What the converter says and makes, against Pigeonhole's own compiler and its `sieve-test`."""

import os
import re
import shutil

import pytest
from bascule.sieve.actions import as_on_new
from bascule.sieve.convert import convert
from bascule.sieve.foldermap import FolderMap
from bascule.sieve.model import Context
from bascule.sieve.syntax import SieveSyntaxError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sieve_tools import Pigeonhole, pigeonhole
from tests.unit.sieve.reading import CONTEXT, Case, cases

__all__ = ["pigeonhole"]  # a fixture
FULL = os.environ.get("BASCULE_TEST_DEPTH") == "full"
QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
pytestmark = [
    pytest.mark.skipif(not shutil.which("sievec"), reason="no sievec on this machine"),
    pytest.mark.timeout(7200 if FULL else 300),
]

ERRORS = {
    'require "fileinto"\nif true { fileinto "A"; }': '2:1: a ";" is missing before `if`, behind `require`',
    'require "fileinto"\nfileinto "A";': '2:1: a ";" is missing before `fileinto`, behind `require`',
    "keep\nstop;": '2:1: a ";" is missing before `stop`, behind `keep`',
    "if true { keep; } else if false { stop; }": "1:24: `else if` is written `elsif`",
    "if true keep;": "1:9: `if` needs a block in braces before `keep`",
    "if true;": "1:8: `if` needs a block in braces behind it",
    "if true { keep; } else;": "1:23: `else` needs a block in braces behind it",
    'if header "a" "b" discard;': "1:19: `if` needs a block in braces before `discard`",
    'frob "x";': "1:1: there is no command `frob`",
    'require "fileinto"; filinto "A";': "1:21: there is no command `filinto`; is `fileinto` meant?",
    'if heder "a" "b" { keep; }': "1:4: there is no test `heder`; is `header` meant?",
    'if header :contains 5 "x" { keep; }': "1:21: a string or a list of strings must stand here for `header`",
    'if header :contains "x" { keep; }': "1:4: `header` has 2 arguments, and 1 stand here",
    'keep "x";': "1:1: `keep` has 0 arguments, and 1 stand here",
    "elsif true { keep; }": "1:1: `elsif` stands behind no `if`",
    "else { keep; }": "1:1: `else` stands behind no `if`",
    "if true { keep; } stop; else { keep; }": "1:25: `else` stands behind no `if`",
    "keep { stop; }": "1:1: `keep` has no block",
    "if (true) { keep; }": "1:1: `if` has one test: for several there are `anyof (...)` and `allof (...)`",
    "if not { keep; }": "1:4: `not` has one test",
    "if { keep; }": "1:1: `if` has one test",
    "if anyof true { keep; }": "1:4: the tests of `anyof` stand in parentheses",
    'header "a" "b";': "1:1: `header` is a test and can stand only behind `if` or in another test",
    "if keep { stop; }": "1:4: `if` needs a block in braces before `keep`",
    'stop; require "fileinto";': "1:7: `require` can stand only at the beginning of the script",
    'if true { require "fileinto"; }': "1:11: `require` can stand only at the beginning of the script",
    'require "fileinto"; fileinto ["A"];': "1:30: a string must stand here for `fileinto`",
    'if header :is :contains "a" "b" { keep; }': "1:15: `:is` and `:contains` exclude one another",
    "keep :copy;": "1:6: `keep` has no `:copy`",
    'require "vacation"; vacation :days "7" "x";': "1:36: a number must stand here for `:days`",
    'require "vacation"; vacation "x" :days;': "1:34: a value is missing behind `:days`",
    "if size :over 1M 2M { keep; }": "1:4: `size` has 1 argument, and 2 stand here",
    "if size :over 100KB { keep; }": "1:19: `size` has no test in it: `b` can't stand there",
    'if true { keep; } else: { stop; }': "1:23: a \":\" that belongs to no tag makes the whole filter invalid",
}  # fmt: skip


def errors(script: str) -> list[str]:
    """The places of what no server compiles, as `check` tells them."""
    conversion = convert(script)
    wanted = ("not-compiling", "stray-colon")
    found = [finding for finding in conversion.findings if finding.rule in wanted]
    return ["{}:{}: {}".format(*conversion.place(finding.offset), finding.message) for finding in found]


@pytest.mark.parametrize("script", sorted(ERRORS))
def test_the_commonest_human_errors_are_named_with_their_place(pigeonhole: Pigeonhole, script: str) -> None:
    assert "error" in pigeonhole.compiled(script)
    assert any(error.startswith(ERRORS[script]) for error in errors(script)), errors(script)


SHUT_OFF = [
    "if true { keep; } else { frob; }", "if false { frob; }", "if true { keep; } elsif frob { keep; }",
    "if not true { frob; }", "if allof (true, false) { frob; }", "if anyof (false, not true) { frob; }",
    "if anyof (true, frob) { keep; }", "if allof (size :over 1, false, frob) { frob; }",
    'if false { keep "x"; else { } }', 'if true { keep; } elsif keep { stop; }',
    'if false { fileinto "A"; }', 'if size :over 1 { stop; } elsif true { keep; } else { frob; }',
    'if false { require "fileinto"; }', "if false { if true { frob; } }",
]  # fmt: skip


@pytest.mark.parametrize("script", SHUT_OFF)
def test_what_no_compiler_looks_at_is_not_called_wrong(pigeonhole: Pigeonhole, script: str) -> None:
    assert "error" not in pigeonhole.compiled(script)
    assert [finding.rule for finding in convert(script).findings] == []


@pytest.mark.parametrize("case", [case for case in cases() if case.kind in ("identical", "edits", "asks")], ids=str)
def test_no_script_that_compiles_is_called_wrong(pigeonhole: Pigeonhole, case: Case) -> None:
    if "error" not in pigeonhole.compiled(case.text, old=True):
        assert errors(case.text) == []


TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|:[a-z]+|[A-Za-z_]+|\d+[KMG]?|[;{}()\[\],]|\s+|.', re.DOTALL)
WELL_FORMED = [case.text for case in cases() if case.kind == "identical" and 0 < len(case.text) < 600]
REPLACEMENTS = [
    ";", "{ keep; }", "if", "elsif", "else", "true", "not", '"x"', '["a", "b"]', "5", ":is", ":contains", ":copy",
    "keep", "fileinto", "header", "", "anyof", "(", ")", "stop;", 'require "fileinto";', ":days", "frob",
]  # fmt: skip


REPLACEMENT = st.sampled_from(REPLACEMENTS)


@settings(QUIET, max_examples=4000 if FULL else 120)
@given(
    st.sampled_from(WELL_FORMED), st.lists(st.tuples(st.integers(0, 200), st.sampled_from(REPLACEMENTS)), max_size=2)
)
def test_what_is_called_wrong_is_refused_by_the_compiler(
    pigeonhole: Pigeonhole, script: str, changes: list[tuple[int, str]]
) -> None:
    """Scripts with a word lost, doubled or exchanged: nothing is called wrong that compiles."""
    tokens = TOKEN.findall(script)
    for at, new in changes:
        tokens[at % len(tokens)] = new
    changed = "".join(tokens)
    try:
        found = errors(changed)
    except SieveSyntaxError:
        assert "error" in pigeonhole.compiled(changed, old=True)
        return
    if found:
        assert "error" in pigeonhole.compiled(changed, old=True), (changed, found)


FOLDERS = FolderMap(
    {"INBOX": "INBOX", "INBOX.Work": "Projects", "INBOX.Réunions": "Meetings"},
    ".",
    "/",
    "INBOX.",
    "",
    modified_utf7=False,
)
RUN = Context(folders=FOLDERS, old_hosts={"old.test": "new.test"}, own_addresses=frozenset({"me@new.test"}))
NAMES = st.sampled_from(["INBOX", "INBOX.Work", "Inbox.Work.2024", "INBOX.Réunions", "INBOX.Nouveau", "inbox"])
FILING = st.one_of(
    NAMES.map(lambda name: f'fileinto "{name}";'), NAMES.map(lambda name: f'fileinto :create :copy "{name}";'),
    NAMES.map(lambda name: f'set "v" "{name}"; fileinto "${{v}}";'),
)  # fmt: skip
ACTIONS = st.one_of(
    FILING, st.sampled_from([
        "keep;", "discard;", "stop;", 'redirect "Paul <paul@old.test>";', 'redirect :copy "a@b.test";', "mark;",
        'addflag "\\\\Flagged";', 'if duplicate { discard; }', 'set "a" "x@old.test"; redirect "${a}";',
        'notify :method "mailto" :options ["Me <me@old.test>"] :message "m";', 'notify :options "c@d.test";',
        'if ihave "vnd.dovecot.duplicate" { if duplicate :handle "x" :value "y" { discard; } }',
    ])
)  # fmt: skip
TESTS = st.sampled_from([
    "true", "false", 'header :contains "Subject" "sale"', 'exists ["From", "X-None"]', "size :over 1K",
    'address :is :domain "From" "x.test"', 'not header :matches "Subject" "*x*"', 'ihave "fileinto"',
    'anyof (header :is "X" "y", address :is "To" "me@new.test")', 'allof (true, not exists "X-None")',
])  # fmt: skip
HEAD = ["fileinto", "copy", "mailbox", "imapflags", "notify", "variables", "vnd.dovecot.duplicate", "ihave"]
MESSAGES = [
    b"From: Bob <bob@x.test>\nTo: me@new.test\nSubject: Big sale\nMessage-Id: <1@x.test>\n\nbody\n",
    b"From: a@b.test\nSubject: hello\n\nbody\n",
]


@st.composite
def filters(draw: st.DrawFn) -> str:
    lines = []
    for _ in range(draw(st.integers(1, 4))):
        actions = " ".join(draw(st.lists(ACTIONS, min_size=1, max_size=2)))
        lines.append(f"if {draw(TESTS)} {{ {actions} }}" if draw(st.booleans()) else actions)
    script = "\n".join(lines)
    used = [name for name in HEAD if re.search(WORDS[name], script)]
    return (
        f"require [{', '.join(f'{chr(34)}{name}{chr(34)}' for name in used)}];\n{script}\n" if used else f"{script}\n"
    )


WORDS = {
    "fileinto": "fileinto", "copy": ":copy", "mailbox": ":create", "imapflags": "mark;|addflag",
    "notify": "notify", "variables": "set ", "vnd.dovecot.duplicate": "duplicate", "ihave": "ihave",
}  # fmt: skip


@settings(QUIET, max_examples=1500 if FULL else 40)
@given(filters())
def test_what_is_edited_without_asking_acts_as_before(pigeonhole: Pigeonhole, script: str) -> None:
    """By the map of a real run. A loop is asked about, all else is edited."""
    conversion = convert(script, RUN)
    assert {finding.rule for finding in conversion.findings} <= {"redirect-loop"}
    assert "error" not in pigeonhole.compiled(conversion.text), conversion.text
    again = convert(conversion.text, RUN)
    assert all(edit.rule == "folder-name" for edit in again.edits)  # new's names are none of old's
    for message in MESSAGES:
        before = pigeonhole.actions(script, message, old=True)
        after = pigeonhole.actions(conversion.text, message)
        expected = None if before is None else as_on_new(before, FOLDERS, RUN.old_hosts)
        assert expected == after, (script, conversion.text)


@pytest.mark.parametrize(
    "case", [case for case in cases("rules", "editors", "dialects") if case.kind == "edits"], ids=str
)
def test_what_comes_out_of_the_corpus_compiles(pigeonhole: Pigeonhole, case: Case) -> None:
    before, after = (pigeonhole.compiled(text, old=old) for text, old in ((case.text, True),
                     (convert(case.text, CONTEXT).text, False)))  # fmt: skip
    if "error" not in before:
        assert "error" not in re.sub(r".*unknown Sieve capability.*|.*snooze.*", "", after)

"""Words of extensions that have ended and were never required: what is proposed compiles on new, and acts as meant."""

import re
import shutil

import pytest
from bascule.sieve.convert import Conversion, convert
from bascule.sieve.model import Context

from tests.sieve_tools import Pigeonhole, pigeonhole

__all__ = ["pigeonhole"]  # a fixture
pytestmark = pytest.mark.skipif(not shutil.which("sievec"), reason="no sievec on this machine")
NEW = Context(extensions=frozenset({"fileinto", "imap4flags", "duplicate", "mailbox", "variables", "enotify"}))
MAIL = b"From: a@b.test\nSubject: sale\nMessage-Id: <1@b.test>\n\nbody\n"

# What a lax old server runs without `require`, and what it is on new.
FLAGS = {
    "mark;": ["\\flagged"],
    "unmark;": [],
    'mark; addflag "\\\\Seen";': ["\\flagged", "\\seen"],
    "mark; unmark;": [],
    'setflag "\\\\Flagged";': ["\\flagged"],
    'addflag "\\\\Flagged";': ["\\flagged"],
    'addflag ["\\\\Flagged", "\\\\Seen"]; unmark;': ["\\seen"],
    'if header :contains "Subject" "sale" { mark; } else { unmark; }': ["\\flagged"],
    'require "fileinto";\nmark; fileinto "Work";': ["\\flagged"],
    'require "imap4flags";\nmark;': ["\\flagged"],
}


def proposed(script: str) -> Conversion:
    """Nothing is edited unasked, all is in the proposal; that a second time gives no more."""
    conversion = convert(script, NEW)
    assert conversion.text == script
    assert {finding.rule for finding in conversion.findings} == {"require-missing"}
    assert convert(conversion.proposed, NEW).findings == ()
    return conversion


@pytest.mark.parametrize("script", FLAGS)
def test_mark_without_its_extension_becomes_a_flag_that_new_sets(pigeonhole: Pigeonhole, script: str) -> None:
    text = proposed(script).proposed
    assert '"imap4flags"' in text and "imapflags" not in text.replace("imap4flags", "") and "mark" not in text
    assert pigeonhole.compiled(text) == ""
    (done,) = pigeonhole.actions(text, MAIL) or ()
    assert sorted(re.findall(r"\\\w+", done.words)) == FLAGS[script]
    assert done.folder == ("Work" if "Work" in script else "INBOX")


@pytest.mark.parametrize("required", ["", 'require "duplicate";\n', 'require ["fileinto"];\n'])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (':handle "x" :value "y"', ':handle "x" :uniqueid "y"'),
        (':value "y"', ':uniqueid "y"'),
        ('"x"', ':handle "x"'),
        ("3600", ":seconds 3600"),
    ],
)
def test_old_forms_of_duplicate_without_their_extension(
    pigeonhole: Pigeonhole, before: str, after: str, required: str
) -> None:
    text = proposed(f"{required}if duplicate {before} {{ discard; }}\n").proposed
    assert f"if duplicate {after} {{ discard; }}" in text
    assert "vnd.dovecot" not in text
    assert pigeonhole.compiled(text) == ""


def test_a_server_that_has_the_old_form_only_keeps_it() -> None:
    old = Context(extensions=frozenset({"vnd.dovecot.duplicate"}))
    conversion = convert('if duplicate :value "y" { discard; }\n', old)
    assert ':value "y"' in conversion.proposed

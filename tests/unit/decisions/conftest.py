"""A ledger with problems in it, as the rooms report them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from bascule.decisions.record import Author
from bascule.ledger import Ledger, journal, problems
from bascule.ledger.problems import Problem

ORIGIN = journal.Origin("problems", "run", "mailbox.review[0]", "postmaster")
AUTHOR = Author("postmaster", "page", ORIGIN)
HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert('x')>",
    "a\nb\r\nSubject: forged",
    "\u202egnp.exe\u2066\u200f",
    "\x1b[2J\x1b]0;title\x07",
    "=HYPERLINK(\"http://evil.test\";\"x\")",
    "+1-1", "-2+3", "@SUM(A1)", "\t=1", "'=1", "''",
    "[click](javascript:alert(1)) ![x](http://evil.test/x.png) `code` **bold** | cell",
    "\udcff\ud800 lone surrogates", "{{ 7 * 7 }} {% for x in y %}", "a\x00b", "\U000e0041\u00ad\u061c",
]  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.fixture
def report(ledger: Ledger) -> Callable[..., Problem]:
    """Report a problem, a refused folder name unless told otherwise; return it as the ledger has it."""

    def make(subject: str = "~x", account: str = "anna", **changes: object) -> Problem:
        values: dict[str, object] = {
            "account": account,
            "room": "mailbox",
            "kind": "folder-name",
            "subject": subject,
            "explanation": f"The folder {subject!r} can't be created on the new server.",
            "facts": {"folder": subject},
            "proposal": {"action": "rename", "name": "x"},
            "server_words": "NO [CANNOT] Bad name",
        }
        with ledger.session() as session:
            number = problems.report(session, Problem(**{**values, **changes}))  # type: ignore[arg-type]
        return next(each for each in problems.problems(ledger, account=account) if each.id == number)

    return make

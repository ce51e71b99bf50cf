"""A ledger with problems in it, as the rooms report them."""

from collections.abc import Callable

import pytest
from bascule.ledger import Ledger, journal
from bascule.problems import store
from bascule.problems.kinds import Kind
from bascule.problems.model import Action, Problem, Proposal
from bascule.problems.record import Author

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


def proposals(kind: Kind) -> list[Proposal]:
    """All that Bascule may propose for a kind, with every value that such a proposal has."""
    written = {"folder name": "x", "line": "main (old server)", "text": "keep;\n"}
    values = {key: how.choices[0] if how.choices else written[how.form] for key, how in kind.edit.items()}
    more = {
        Action.RAISE_QUOTA: {"bytes": 2**30},
        Action.RENAME_ON_NEW: {"to": "x"},
        Action.DROP: {"keyword": "$x"} if kind.key.startswith("mailbox/") else {"properties": ["ATTACH"]},
        Action.LEAVE_AS_IT_IS: {"text": None},
    }
    return [
        Proposal.from_stored(values | {"action": action} | more.get(action, {}))  # type: ignore[arg-type]
        for action in kind.proposes
    ]


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
        } | changes
        values["proposal"] = Proposal.from_stored(values["proposal"])  # type: ignore[arg-type]
        with ledger.session() as session:
            number = store.report(session, Problem(**values))  # type: ignore[arg-type]
        return next(each for each in store.problems(ledger, account=account) if each.id == number)

    return make

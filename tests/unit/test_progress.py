"""How far the mailboxes are during the day: who has moved on his own before waits for nothing."""

from datetime import timedelta

from bascule.ledger import Ledger, mailboxes, moves
from bascule.ledger.base import now
from bascule.ledger.moves import State
from bascule.views import progress


def verified(ledger: Ledger, account: str) -> None:
    with ledger.session() as session:
        mailboxes.finish_mailbox(
            session, account, "verified", folders=1, messages=9, octets=9, problems=0, seconds=1.0, verified=True
        )


def test_who_has_moved_before_is_done_when_the_day_begins(ledger: Ledger) -> None:
    for account in ("anna", "bert", "carl"):
        verified(ledger, account)
    moves.note(ledger, moves.begin(ledger, "anna", "new", {}, "run-0"), State.DONE)
    frozen = now() + timedelta(microseconds=1)
    found = progress.mailboxes(ledger)
    assert found.done_since(frozen) == (1, None)
    assert found.by_state(frozen) == {"verified": 1, "waiting": 2}
    verified(ledger, "bert")
    found = progress.mailboxes(ledger)
    assert found.done_since(frozen)[0] == 2
    halfway = progress.curve(found, frozen, None, at=now())
    assert halfway.expected is not None
    verified(ledger, "carl")
    assert progress.curve(progress.mailboxes(ledger), frozen, None).expected is None, "nobody is left"

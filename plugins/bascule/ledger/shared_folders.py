"""Shared folders of the old server, which are in nobody's mailbox: who sees one first notes it, once for the site."""

import json
from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.orm import Session

from bascule.ledger import journal
from bascule.ledger.base import Ledger, lock_for_append

KIND = "shared folders"  # in the journal


def noted(ledger: Ledger) -> list[str]:
    """Those that are known, by name."""
    with ledger.reading() as session:
        return sorted(_noted(session))


def note(ledger: Ledger, names: Collection[str], seen_by: str) -> list[str]:
    """Note those of these that nobody has noted before, and return them."""
    if not {*names}.difference(noted(ledger)):
        return []
    with ledger.session() as session:
        lock_for_append(session.connection())  # two passes may see them at the same moment
        new = sorted({*names} - _noted(session))
        if new:
            after = {"folders": new, "seen by": seen_by}
            journal.write(session, journal.Entry("note", KIND, "old", journal.Origin("pass"), after=after))
    return new


def _noted(session: Session) -> set[str]:
    told = session.scalars(sa.select(journal.JournalRow.after).where(journal.JournalRow.kind == KIND))
    return {name for after in told for name in json.loads(after or "{}")["folders"]}

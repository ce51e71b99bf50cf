"""Every pass over every mailbox: when, how long, how much was copied, how it ended."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from bascule.ledger.base import Base, Ledger, now

NOT_FINISHED = ("failed", "broken off")  # states of passes that came to no good end


class PassRow(Base):
    """One pass. While it copies `ended_at` is empty, and `seen_at` says when its figures were written last."""

    __tablename__ = "mailbox_pass"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    account: Mapped[str] = mapped_column(sa.String(255), index=True)
    began_at: Mapped[datetime]
    seen_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]
    copied: Mapped[int] = mapped_column(default=0)
    bytes: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    seconds: Mapped[float] = mapped_column(sa.Double, index=True)  # so far, or in all
    state: Mapped[str] = mapped_column(sa.String(16))  # the mailbox's when it ended; "copying" before


def note(session: Session, account: str, seconds: float, *, copied: int, octets: int, state: str, ended: bool) -> None:
    """Write down how far the pass over this mailbox is that began so many seconds ago.

    One that was left unfinished (its process was killed) ends with what was seen of it last.
    """
    at = now()
    began = at - timedelta(seconds=seconds)
    unfinished = session.scalars(sa.select(PassRow).where(PassRow.account == account, PassRow.ended_at.is_(None)))
    row = None
    for each in unfinished:
        if abs((each.began_at - began).total_seconds()) < 1:
            row = each
        else:
            each.ended_at, each.state = each.seen_at, "broken off"
    if row is None:
        row = PassRow(account=account, began_at=began, seconds=seconds)
        session.add(row)
    row.seen_at, row.ended_at, row.seconds = at, at if ended else None, seconds
    row.copied, row.bytes, row.state = copied, octets, state


def first_ends(ledger: Ledger) -> dict[str, datetime]:
    """By account, when its first pass came to a good end: the one that copied everything."""
    return _earliest(ledger)


def ends(ledger: Ledger, since: datetime, until: datetime | None) -> dict[str, datetime]:
    """By account, when its first pass came to a good end of those that ended after `since` (and before `until`)."""
    # Of a pass that has ended `seen_at` is its end, too, and has an index.
    return _earliest(ledger, PassRow.seen_at > since, *([PassRow.seen_at < until] if until else []))


def _earliest(ledger: Ledger, *when: sa.ColumnElement[bool]) -> dict[str, datetime]:
    query = sa.select(PassRow.account, sa.func.min(PassRow.ended_at)).where(PassRow.state.not_in(NOT_FINISHED), *when)
    with ledger.reading() as session:
        return {account: at for account, at in session.execute(query.group_by(PassRow.account)) if at}

"""What the ledger knows of calendars and address books: which collection went where, and each item's two etags."""

from collections.abc import Collection as Names
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from bascule.ledger.base import Base, Ledger, now, pieces
from bascule.ledger.problems import ProblemRow
from bascule.text.harmless import harmless


class CalendarRow(Base):
    """One collection of one account. `tag` is old's at the last complete pass; empty when there was none."""

    __tablename__ = "calendar"
    __table_args__ = (sa.UniqueConstraint("account", "old_href"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    account: Mapped[str] = mapped_column(sa.String(255), index=True)
    kind: Mapped[str] = mapped_column(sa.String(16))
    old_href: Mapped[str] = mapped_column(sa.String(1024))
    new_href: Mapped[str] = mapped_column(sa.String(1024))
    properties: Mapped[dict[str, Any]]  # as old had them when they were last set on new
    tag: Mapped[str] = mapped_column(sa.Text, default="")
    seen_at: Mapped[datetime]


class CalendarItemRow(Base):
    """One event, task or contact. `new_etag` is the one that our own last write gave.

    `state`: writing (what came of it is not known yet); carried; refused (new didn't take it); left_out (by decision);
    kept (what is on new stays).
    """

    __tablename__ = "calendar_item"
    __table_args__ = (sa.UniqueConstraint("calendar_id", "old_href"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    calendar_id: Mapped[int] = mapped_column(sa.ForeignKey("calendar.id"), index=True)
    old_href: Mapped[str] = mapped_column(sa.String(1024))
    old_etag: Mapped[str] = mapped_column(sa.String(255))
    new_href: Mapped[str] = mapped_column(sa.String(1024), default="")
    new_etag: Mapped[str] = mapped_column(sa.String(255), default="")
    state: Mapped[str] = mapped_column(sa.String(16))
    problem_id: Mapped[int | None] = mapped_column(sa.ForeignKey(ProblemRow.id))


class ShareRow(Base):
    """What somebody else may do with a collection (`old_href`; empty: with all collections of everybody).

    `state`: given (on new, as `roles`); kept (on new its owner says otherwise, which stays); by_hand (`words` say what
    a person has to do, and where).
    """

    __tablename__ = "calendar_share"
    __table_args__ = (sa.UniqueConstraint("account", "old_href", "who"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    account: Mapped[str] = mapped_column(sa.String(255), index=True)
    old_href: Mapped[str] = mapped_column(sa.String(1024))
    who: Mapped[str] = mapped_column(sa.String(255))
    roles: Mapped[list[Any]]
    state: Mapped[str] = mapped_column(sa.String(16))
    words: Mapped[str] = mapped_column(sa.Text, default="")
    seen_at: Mapped[datetime]


class PreferenceRow(Base):
    """A preference in SOGo that was looked at: set by us, or found set. It is the user's own from then on."""

    __tablename__ = "preference"

    account: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    seen_at: Mapped[datetime]


def preferences(ledger: Ledger) -> set[tuple[str, str]]:
    """(account, key) of the preferences that were looked at."""
    with ledger.reading() as session:
        return {(row[0], row[1]) for row in session.execute(sa.select(PreferenceRow.account, PreferenceRow.key))}


def save_preference(session: Session, account: str, key: str) -> None:
    """This preference is the user's own from now on."""
    session.merge(PreferenceRow(account=account, key=key, seen_at=now()))


def shares(ledger: Ledger, account: str | None = None, state: str | None = None) -> list[ShareRow]:
    """Shares, by account and in the order in which they were found."""
    query = sa.select(ShareRow).order_by(ShareRow.account, ShareRow.id)
    if account is not None:
        query = query.where(ShareRow.account == account)
    if state is not None:
        query = query.where(ShareRow.state == state)
    with ledger.reading() as session:
        return list(session.scalars(query))


def by_hand_lines(ledger: Ledger) -> list[str]:
    """What a person has to do about shares that could not be carried, a line for each."""
    return [harmless(row.words) for row in shares(ledger, state="by_hand")]


def save_share(ledger: Ledger, row: ShareRow) -> None:
    """Write a share down, new or changed."""
    row.seen_at = now()
    with ledger.session() as session:
        session.add(row)


def forget_share(ledger: Ledger, row: ShareRow) -> None:
    """A share that old no longer has."""
    with ledger.session() as session:
        session.execute(sa.delete(ShareRow).where(ShareRow.id == row.id))


def calendars(ledger: Ledger, account: str) -> list[CalendarRow]:
    """The collections of this account that were carried so far."""
    with ledger.reading() as session:
        query = sa.select(CalendarRow).where(CalendarRow.account == account).order_by(CalendarRow.id)
        return list(session.scalars(query))


def save_calendar(session: Session, row: CalendarRow) -> None:
    """Write a collection down, new or changed."""
    row.seen_at = now()
    session.add(row)
    session.flush()


def items(ledger: Ledger, calendar_id: int) -> dict[str, CalendarItemRow]:
    """The items of one collection by their old href."""
    with ledger.reading() as session:
        query = sa.select(CalendarItemRow).where(CalendarItemRow.calendar_id == calendar_id)
        return {row.old_href: row for row in session.scalars(query)}


def save_items(session: Session, rows: Iterable[CalendarItemRow]) -> None:
    """Write items down, new or changed."""
    session.add_all(rows)
    session.flush()


def forget_items(session: Session, ids: Names[int]) -> None:
    """Items that are gone from both servers."""
    for some in pieces(list(ids)):
        session.execute(sa.delete(CalendarItemRow).where(CalendarItemRow.id.in_(some)))


def forget_calendar(session: Session, row: CalendarRow) -> None:
    """A collection that is gone from both servers, with its items and whom it was shared with."""
    session.execute(sa.delete(CalendarItemRow).where(CalendarItemRow.calendar_id == row.id))
    session.execute(sa.delete(ShareRow).where(ShareRow.account == row.account, ShareRow.old_href == row.old_href))
    session.execute(sa.delete(CalendarRow).where(CalendarRow.id == row.id))


def problem_ids(ledger: Ledger, calendar_id: int) -> set[int]:
    """The problems that items of this collection have."""
    query = sa.select(CalendarItemRow.problem_id).where(
        CalendarItemRow.calendar_id == calendar_id, CalendarItemRow.problem_id.is_not(None)
    )
    with ledger.reading() as session:
        return {found for found in session.scalars(query) if found is not None}


def count_items(ledger: Ledger, calendar_id: int) -> int:
    """How many items of one collection are known."""
    query = sa.select(sa.func.count()).where(CalendarItemRow.calendar_id == calendar_id)
    with ledger.reading() as session:
        return session.scalar(query) or 0


def count_collections(ledger: Ledger) -> int:
    """How many calendars and address books are known, all accounts together."""
    with ledger.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(CalendarRow)) or 0


def totals(ledger: Ledger) -> dict[str, int]:
    """How many items there are in each state, all accounts together; for progress and the report."""
    query = sa.select(CalendarItemRow.state, sa.func.count()).group_by(CalendarItemRow.state)
    with ledger.reading() as session:
        return {row[0]: row[1] for row in session.execute(query)}

"""The plan of moves: who moves when; which moves have begun, for their pace; whether they are stopped."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from bascule.ledger.base import Base, Ledger, lock_for_append, now

Word = Literal["stop", "go on"]


class PlannedRow(Base):
    """One account of the plan. Without a wave it waits for a person, and `note` says for what."""

    __tablename__ = "planned_move"

    account: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    wave: Mapped[str] = mapped_column(sa.String(32), index=True, default="")
    starts_at: Mapped[datetime | None]
    note: Mapped[str] = mapped_column(sa.Text, default="")


class StartRow(Base):
    """One move that was let begin, for the number of them in an hour."""

    __tablename__ = "move_start"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    account: Mapped[str] = mapped_column(sa.String(255))
    run: Mapped[str] = mapped_column(sa.Text)
    at: Mapped[datetime] = mapped_column(index=True)


class SignalRow(Base):
    """What a person said to the runs that go on: stop after the accounts that are under way, or go on."""

    __tablename__ = "move_signal"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    word: Mapped[str] = mapped_column(sa.String(8))
    by: Mapped[str] = mapped_column(sa.Text)
    at: Mapped[datetime]


@dataclass(frozen=True)
class Planned:
    """One account of the plan; as PlannedRow."""

    account: str
    wave: str = ""
    starts_at: datetime | None = None  # UTC
    note: str = ""


@dataclass(frozen=True)
class Signal:
    """What was said last, by whom and when (UTC)."""

    word: Word
    by: str
    at: datetime


def plan(ledger: Ledger, wave: str | None = None) -> list[Planned]:
    """The plan, or one wave of it, by start and name; who has no wave comes last."""
    query = sa.select(PlannedRow.account, PlannedRow.wave, PlannedRow.starts_at, PlannedRow.note)
    if wave is not None:
        query = query.where(PlannedRow.wave == wave)
    with ledger.reading() as session:
        found = [Planned(*row) for row in session.execute(query)]
    return sorted(found, key=lambda each: (each.starts_at or datetime.max, each.wave, each.note, each.account))


def wave_of(ledger: Ledger, account: str) -> str:
    """The wave in which the account is planned; empty: in none."""
    with ledger.reading() as session:
        return session.scalar(sa.select(PlannedRow.wave).where(PlannedRow.account == account)) or ""


def replace(ledger: Ledger, planned: Iterable[Planned]) -> None:
    """The plan is this one from now on, whole."""
    rows = [
        PlannedRow(account=each.account, wave=each.wave, starts_at=each.starts_at, note=each.note) for each in planned
    ]
    with ledger.session() as session:
        session.execute(sa.delete(PlannedRow))
        session.add_all(rows)


def take_start(ledger: Ledger, account: str, run: str, per_hour: int) -> bool:
    """Whether the account may begin now, so that no more than this many do in an hour; it is counted then, once."""
    with ledger.session() as session:
        lock_for_append(session.connection())
        hour = sa.select(StartRow.account, StartRow.run).where(StartRow.at > now() - timedelta(hours=1))
        begun = [(row.account, row.run) for row in session.execute(hour)]
        if (account, run) in begun:
            return True
        if per_hour and len(begun) >= per_hour:
            return False
        session.add(StartRow(account=account, run=run, at=now()))
        return True


def say(ledger: Ledger, word: Word, by: str) -> None:
    """Stop the runs that go on after the accounts that are under way, or let them go on."""
    with ledger.session() as session:
        session.add(SignalRow(word=word, by=by, at=now()))


def last_signal(ledger: Ledger, word: Word | None = None) -> Signal | None:
    """What was said last; the last of this word."""
    query = sa.select(SignalRow).order_by(SignalRow.id.desc()).limit(1)
    if word is not None:
        query = query.where(SignalRow.word == word)
    with ledger.reading() as session:
        row = session.scalars(query).first()
        return None if row is None else Signal("stop" if row.word == "stop" else "go on", row.by, row.at)


def stopped(ledger: Ledger, since: datetime | None) -> Signal | None:
    """The word by which a run that was asked for then is stopped: one that is asked for later is not."""
    last = last_signal(ledger)
    return last if last and last.word == "stop" and (since is None or last.at >= since) else None

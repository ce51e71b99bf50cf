"""Moves of single accounts: how far each is, and whose mail is held at the MX.

A move that is under way has no end yet. Its state says what was begun last, and is on the disk before that is begun:
whoever finds it later knows what there may be to finish or to undo.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from bascule.ledger.base import Base, Ledger, LedgerError, lock_for_append, now
from bascule.text.logs import get_logger

log = get_logger(__name__)

Server = Literal["old", "new"]


class State(enum.StrEnum):
    """What was begun last of a move, in the order of the acts. `number`: as docs/moves.md counts them.

    1 are the passes before, without a lock.
    """

    PREPARED = "prepared"
    HOLDING = "holding"
    QUIETING = "quieting"
    FLIPPING = "flipping"
    KICKING = "kicking"
    CARRYING = "carrying"
    RELEASING = "releasing"
    PROVING = "proving"
    DONE = "done"
    UNDONE = "undone"

    @property
    def number(self) -> int:
        return ORDER.index(self) + 2


ORDER = tuple(State)
HELD = ORDER[ORDER.index(State.HOLDING) : ORDER.index(State.PROVING)]  # in which mail may be held
ENDS = (State.DONE, State.UNDONE)


class MoveRow(Base):
    __tablename__ = "move"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    account: Mapped[str] = mapped_column(sa.String(255), index=True)
    to: Mapped[str] = mapped_column(sa.String(8))
    turned: Mapped[bool]
    state: Mapped[str] = mapped_column(sa.String(16), index=True)
    before: Mapped[dict[str, Any]]
    run: Mapped[str] = mapped_column(sa.Text)
    began_at: Mapped[datetime]
    held_at: Mapped[datetime | None]
    hold_until: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    note: Mapped[str] = mapped_column(sa.Text)


class TakenUp(LedgerError):
    """Raised when another run has gone on with a move, or has ended it, while this one slept."""


@dataclass(frozen=True)
class Move:
    """One move. `turned`: it goes back to where the account came from. `before`: what the directory said at first.

    `hold_until`: when its hold is overdue. All times in UTC.
    """

    id: int
    account: str
    to: Server
    turned: bool
    state: State
    before: dict[str, Any]
    run: str
    began_at: datetime
    held_at: datetime | None
    hold_until: datetime | None
    ended_at: datetime | None
    note: str

    @property
    def heading(self) -> Server:
        """Where the account goes now."""
        return other(self.to) if self.turned else self.to

    @property
    def age(self) -> float:
        """For how many seconds its mail has been held."""
        return (now() - self.held_at).total_seconds() if self.held_at else 0.0

    @property
    def is_overdue(self) -> bool:
        return self.hold_until is not None and self.hold_until < now()


def other(server: Server) -> Server:
    return "old" if server == "new" else "new"


def begin(ledger: Ledger, account: str, to: Server, before: dict[str, Any], run: str) -> Move:
    """A new move. Raises LedgerError when one of this account is under way."""
    with ledger.session() as session:
        lock_for_append(session.connection())
        if _under_way(session, account) is not None:
            raise LedgerError(f"{account} is being moved already: that move must be ended first")
        row = MoveRow(
            account=account, to=to, turned=False, state=State.PREPARED, before=before, run=run, began_at=now(), note=""
        )
        session.add(row)
        session.flush()
        return _move(row)


def hold(ledger: Ledger, move: Move, *, at_once: int, until: datetime) -> Move | None:
    """Note that the account is about to be held, unless so many are held already: then None. Raises TakenUp.

    One whose hold is overdue keeps no place: it may stay so until a person has mended something.
    """
    with ledger.session() as session:
        lock_for_append(session.connection())
        in_time = sa.or_(MoveRow.hold_until.is_(None), MoveRow.hold_until >= now())
        held = sa.select(sa.func.count()).where(MoveRow.ended_at.is_(None), MoveRow.state.in_(HELD), in_time)
        if (session.scalar(held) or 0) >= at_once:
            return None
        row = _as_it_was(session, move)
        row.state, row.held_at, row.hold_until = State.HOLDING, now(), until
        return _move(row)


def note(ledger: Ledger, move: Move, state: State, *, turned: bool | None = None, words: str = "") -> Move:
    """What is begun now; an end is noted with its time. Raises TakenUp where it is not any more as `move` says."""
    with ledger.session() as session:
        row = _as_it_was(session, move)
        row.state = state
        row.turned = move.turned if turned is None else turned
        row.note = words or row.note
        row.ended_at = now() if state in ENDS else None
        return _move(row)


def _as_it_was(session: Session, move: Move) -> MoveRow:
    row = session.get_one(MoveRow, move.id, with_for_update=True)
    if (row.state, row.turned, row.ended_at) != (move.state, move.turned, move.ended_at):
        raise TakenUp(
            f"the move of {move.account} was taken up by another run, which has brought it to `{row.state}`: this one "
            "goes on no more"
        )
    return row


def under_way(ledger: Ledger, account: str) -> Move | None:
    """The move of this account that has no end yet."""
    with ledger.reading() as session:
        row = _under_way(session, account)
        return None if row is None else _move(row)


def all_under_way(ledger: Ledger) -> list[Move]:
    """The moves without an end, the oldest first."""
    query = sa.select(MoveRow).where(MoveRow.ended_at.is_(None)).order_by(MoveRow.id)
    with ledger.reading() as session:
        return [_move(row) for row in session.scalars(query)]


def holds(ledger: Ledger) -> list[Move]:
    """The moves whose account's mail may be held now, the oldest first."""
    return [move for move in all_under_way(ledger) if move.state in HELD]


def moved(ledger: Ledger) -> set[str]:
    """The accounts that were moved to new, and not back since."""
    query = sa.select(MoveRow.account, MoveRow.to).where(MoveRow.state == State.DONE).order_by(MoveRow.id)
    with ledger.reading() as session:
        last = {row.account: row.to for row in session.execute(query)}
    return {account for account, to in last.items() if to == "new"}


def not_moved(ledger: Ledger, accounts: Iterable[str]) -> list[str]:
    """Those that the day is for: who has moved to new already is left alone."""
    names, gone = list(accounts), moved(ledger)
    if alone := sorted(gone.intersection(names)):
        log.info("these have moved to new already, and are left alone", accounts=alone)
    return [name for name in names if name not in gone]


def _under_way(session: Session, account: str) -> MoveRow | None:
    return session.scalars(sa.select(MoveRow).where(MoveRow.account == account, MoveRow.ended_at.is_(None))).first()


def _move(row: MoveRow) -> Move:
    return Move(
        row.id, row.account, "new" if row.to == "new" else "old", row.turned, State(row.state), row.before, row.run,
        row.began_at, row.held_at, row.hold_until, row.ended_at, row.note,
    )  # fmt: skip

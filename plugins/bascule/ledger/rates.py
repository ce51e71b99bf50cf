"""How fast servers may be used by all tasks together: one virtual schedule for each rate (GCRA, ITU-T I.371).

`free_at` is the instant at which all that was reserved so far has gone through at the agreed rate. Who wants more moves
it on, in one statement, and waits until the instant at which it stood before; nobody saves up what he has not used.
"""

import time

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from bascule.ledger.base import Base, Ledger


class RateRow(Base):
    __tablename__ = "rate"

    name: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    free_at: Mapped[float] = mapped_column(sa.Double)  # seconds since 1970


def reserve(ledger: Ledger, name: str, seconds: float) -> float:
    """Reserve so many seconds of the schedule; returns after how many seconds they begin."""
    with ledger.session() as session:
        now = _now(session.get_bind().dialect.name)
        begin = sa.case((RateRow.free_at > now, RateRow.free_at), else_=now)
        move = (
            sa.update(RateRow)
            .where(RateRow.name == name)
            .values(free_at=begin + seconds)
            .returning(RateRow.free_at - seconds - now)
        )
        found = session.execute(move).scalar()
        if found is None:
            session.execute(_first(session.get_bind().dialect.name, name))
            found = session.execute(move).scalar_one()
        return max(0.0, float(found))


def _now(dialect: str) -> sa.ColumnElement[float]:
    """PostgreSQL's own clock, since its clients are on many hosts; SQLite's are all on this one."""
    if dialect == "postgresql":
        return sa.cast(sa.extract("epoch", sa.func.statement_timestamp()), sa.Double)
    return sa.literal(time.time(), sa.Double)


def _first(dialect: str, name: str) -> sa.Executable:
    """The schedule's row, unless another task has just made it."""
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert  # who keeps the ledger in SQLite does not pay for it
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    return insert(RateRow).values(name=name, free_at=0.0).on_conflict_do_nothing()

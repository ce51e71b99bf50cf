"""What people were told, so that each is told once."""

import hashlib
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from bascule.ledger.base import Base, Ledger, now

LONGEST = 255  # characters


class NoticeRow(Base):
    """One thing that was told by one way (a mail, a chat)."""

    __tablename__ = "notice"

    what: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    way: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    told_at: Mapped[datetime] = mapped_column(index=True)


def claim(ledger: Ledger, what: str, way: str) -> bool:
    """Whether the caller is the one who tells this by this way; nobody else is from now on."""
    try:
        with ledger.session() as session:
            session.add(NoticeRow(what=_key(what), way=way, told_at=now()))
    except sa.exc.IntegrityError:
        return False
    return True


def told(ledger: Ledger, way: str, beginning: str = "") -> list[str]:
    """What was told by this way and begins so, the last thing last; what no column can hold is there by its hash."""
    query = sa.select(NoticeRow.what).where(NoticeRow.way == way).order_by(NoticeRow.told_at, NoticeRow.what)
    if beginning:
        query = query.where(NoticeRow.what.startswith(beginning, autoescape=True))
    with ledger.reading() as session:
        return [what for what in session.scalars(query) if what.startswith(beginning)]  # SQLite's LIKE knows no case


def give_back(ledger: Ledger, what: str, way: str) -> None:
    """It could not be told: whoever wants to tell it next may."""
    with ledger.session() as session:
        session.execute(sa.delete(NoticeRow).where(NoticeRow.what == _key(what), NoticeRow.way == way))


def _key(what: str) -> str:
    """As it is, unless a column can't hold it."""
    return what if len(what) <= LONGEST else hashlib.sha256(what.encode()).hexdigest()

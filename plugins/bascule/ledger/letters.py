"""The letters to owners of mailboxes: which were sent, so that none is sent twice."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from bascule.ledger.base import Base, Ledger, now


class LetterRow(Base):
    __tablename__ = "letter"

    account: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    message_id: Mapped[str] = mapped_column(sa.Text)
    sent_at: Mapped[datetime]


def sent(ledger: Ledger) -> dict[str, str]:
    """The Message-Id of the letter of each account that has got one."""
    with ledger.reading() as session:
        return {row.account: row.message_id for row in session.scalars(sa.select(LetterRow))}


def mark_sent(ledger: Ledger, account: str, message_id: str) -> None:
    """The letter lies in the new INBOX."""
    with ledger.session() as session:
        session.merge(LetterRow(account=account, message_id=message_id, sent_at=now()))

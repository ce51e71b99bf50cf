"""The tables of problems and decisions. What stands in a row is read and written by `bascule.problems.store`."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from bascule.ledger.base import Base


class ProblemRow(Base):
    __tablename__ = "problem"
    __table_args__ = (sa.UniqueConstraint("account", "room", "kind", "subject_hash"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    account: Mapped[str] = mapped_column(sa.String(255), index=True)
    room: Mapped[str] = mapped_column(sa.String(16))
    kind: Mapped[str] = mapped_column(sa.String(64))
    subject: Mapped[str] = mapped_column(sa.Text)
    subject_hash: Mapped[str] = mapped_column(sa.String(64))
    explanation: Mapped[str] = mapped_column(sa.Text)
    facts: Mapped[dict[str, Any]]
    facts_hash: Mapped[str] = mapped_column(sa.String(64))
    details: Mapped[dict[str, Any]]
    server_words: Mapped[str] = mapped_column(sa.Text)
    proposal: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(sa.String(16), index=True)
    found_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class DecisionRow(Base):
    __tablename__ = "decision"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    problem_id: Mapped[int] = mapped_column(sa.ForeignKey("problem.id"), index=True)
    facts_hash: Mapped[str] = mapped_column(sa.String(64))
    option: Mapped[str] = mapped_column(sa.String(64))
    values: Mapped[dict[str, Any]]
    decided_by: Mapped[str] = mapped_column(sa.Text)
    decided_at: Mapped[datetime]
    source: Mapped[str] = mapped_column(sa.String(16))
    journal_number: Mapped[int]

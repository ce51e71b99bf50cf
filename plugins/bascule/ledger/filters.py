"""What the filter room knows of each script: the original, what was put on the new server, and the page that tells of
it."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from bascule.ledger.base import Base, Ledger, now
from bascule.text.harmless import harmless


class FilterOriginalRow(Base):
    """One version of a script as the old server gave it, byte for byte. Never changed, never removed."""

    __tablename__ = "filter_original"
    __table_args__ = (sa.UniqueConstraint("account", "name_hash", "digest"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    account: Mapped[str] = mapped_column(sa.String(255), index=True)
    name: Mapped[str] = mapped_column(sa.Text)
    name_hash: Mapped[str] = mapped_column(sa.String(64))
    digest: Mapped[str] = mapped_column(sa.String(64))
    data: Mapped[bytes] = mapped_column(sa.LargeBinary)
    fetched_at: Mapped[datetime]


class FilterRow(Base):
    """Where one script stands: its present original, and what Bascule put on the new server last."""

    __tablename__ = "filter"
    __table_args__ = (sa.UniqueConstraint("account", "name_hash"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    account: Mapped[str] = mapped_column(sa.String(255), index=True)
    name: Mapped[str] = mapped_column(sa.Text)
    name_hash: Mapped[str] = mapped_column(sa.String(64))
    original: Mapped[str] = mapped_column(sa.String(64))  # digest
    active: Mapped[bool] = mapped_column(default=False)  # on the old server
    put: Mapped[str | None] = mapped_column(sa.String(64))  # digest of what Bascule put on the new server last
    put_at: Mapped[datetime | None]
    activated: Mapped[bool] = mapped_column(default=False)  # Bascule made it the active one on the new server
    report: Mapped[dict[str, Any]]  # the page: after, edits with reasons, compiler's words, behaviour


@dataclass(frozen=True)
class FilterStatus:
    """One script, as pages and gates see it."""

    account: str
    name: str
    active: bool
    original: str
    put: str | None
    put_at: datetime | None
    activated: bool
    report: dict[str, Any]


def digest(data: bytes) -> str:
    """How a script's bytes are known."""
    return hashlib.sha256(data).hexdigest()


def keep_original(session: Session, account: str, name: str, data: bytes, *, active: bool) -> None:
    """Keep a script as the old server gave it; the same version twice is kept once."""
    key = _key(account, name)
    version = sa.select(FilterOriginalRow.id).filter_by(**key, digest=digest(data))
    if session.scalars(version).first() is None:
        session.add(FilterOriginalRow(**key, name=name, digest=digest(data), data=data, fetched_at=now()))
    row = _row(session, account, name)
    if row is None:
        row = FilterRow(**key, name=name, report={})
        session.add(row)
    row.original, row.active = digest(data), active


def set_report(session: Session, account: str, name: str, report: dict[str, Any]) -> None:
    """Write the page of a script whose original is kept."""
    row = _row(session, account, name)
    if row is not None and row.report != report:
        row.report = report


def set_put(session: Session, account: str, name: str, data: bytes) -> None:
    """This is what stands on the new server by Bascule's hand."""
    row = _row(session, account, name)
    if row is not None:
        row.put, row.put_at = digest(data), now()


def set_activated(session: Session, account: str, name: str | None) -> None:
    """This script, or none, is active on the new server by Bascule's hand."""
    for row in session.scalars(sa.select(FilterRow).where(FilterRow.account == account)):
        row.activated = row.name == name


def filters(ledger: Ledger, account: str | None = None) -> list[FilterStatus]:
    """The scripts of one account, or of all, by account and name."""
    query = sa.select(FilterRow).order_by(FilterRow.account, FilterRow.name)
    if account is not None:
        query = query.where(FilterRow.account == account)
    with ledger.reading() as session:
        return [
            FilterStatus(
                row.account, row.name, row.active, row.original, row.put, row.put_at, row.activated, row.report
            )
            for row in session.scalars(query)
        ]


def report(ledger: Ledger) -> tuple[str, dict[str, list[str]]]:
    """What the final report says of the filters: a sentence of counts, and what is named, by what is wrong with it."""
    known = filters(ledger)
    reports = [(status, status.report) for status in known if status.report]
    on_new = [report for _, report in reports if report.get("on_new") is not None]
    proven = [report for _, report in reports if report.get("proved") and not report.get("not_compared")]
    counts = (
        f"filters: {len(known)} of {len({status.account for status in known})} accounts, {len(on_new)} stand on new, "
        f"{sum(bool(report.get('edits')) for _, report in reports)} with edits, {len(proven)} compared on own mail"
    )
    told = {
        "filters that could not be compared on own mail": [
            harmless(f"{status.account}: {status.name}: {report['not_compared']}")
            for status, report in reports
            if report.get("not_compared")
        ],
        "vacation answers that may come a second time": [
            harmless(f"{status.account}: {report['vacation']}")
            for status, report in reports
            if report.get("answers_again")
        ],
    }
    return counts, {what: found for what, found in told.items() if found}


def original(ledger: Ledger, account: str, name: str, version: str) -> bytes | None:
    """The bytes of one version of a script."""
    query = sa.select(FilterOriginalRow.data).filter_by(**_key(account, name), digest=version)
    with ledger.reading() as session:
        return session.scalars(query).first()


def _row(session: Session, account: str, name: str) -> FilterRow | None:
    return session.scalars(sa.select(FilterRow).filter_by(**_key(account, name))).first()


def _key(account: str, name: str) -> dict[str, str]:
    return {"account": account, "name_hash": digest(name.encode())}

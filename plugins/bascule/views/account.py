"""One account as the ledger has it: passes, folders of both sides, problems, filters, calendars, letters."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from bascule.ledger import Ledger, calendars, filters, journal, letters
from bascule.ledger.filters import FilterStatus
from bascule.ledger.mailboxes import FolderRow, MailboxRow, VerificationRow
from bascule.ledger.passes import PassRow
from bascule.problems import store
from bascule.problems.model import Decision, Problem

PASSES = 20  # the last ones


@dataclass(frozen=True)
class Folder:
    """One folder on both sides. `uids`: `kept` or `changed`, and why; empty: no pass has finished it."""

    old_name: str
    new_name: str
    old_messages: int
    new_messages: int
    bytes: int
    uids: str
    uids_reason: str
    level: str  # of the last verification; empty: none yet
    compared: int
    differences: int


@dataclass(frozen=True)
class Asked:
    """One problem, and what was decided about it."""

    problem: Problem
    decision: Decision | None


@dataclass(frozen=True)
class Collection:
    """One calendar or address book."""

    kind: str
    name: str
    items: int
    seen_at: datetime


@dataclass(frozen=True)
class Account:
    """Everything that the ledger knows of one account."""

    name: str
    mailbox: MailboxRow | None
    passes: Sequence[PassRow]
    folders: Sequence[Folder]
    problems: Sequence[Asked]
    filters: Sequence[FilterStatus]
    collections: Sequence[Collection]
    letter: str  # the Message-Id of the letter that was sent; empty: none
    entries: Sequence[journal.Entry]

    @property
    def is_known(self) -> bool:
        return bool(self.mailbox or self.problems or self.filters or self.collections)


def account(ledger: Ledger, name: str) -> Account:
    """What the ledger knows of this account; nothing of one that it does not know."""
    with ledger.reading() as session:
        mailbox = session.get(MailboxRow, name)
        last = sa.select(PassRow).where(PassRow.account == name).order_by(PassRow.id.desc()).limit(PASSES)
        passes, folders = list(session.scalars(last)), _folders(session, name)
    return Account(
        name,
        mailbox,
        passes,
        folders,
        _problems(ledger, name),
        filters.filters(ledger, name),
        [_collection(ledger, row) for row in calendars.calendars(ledger, name)],
        letters.sent(ledger).get(name, ""),
        journal.entries(ledger, subject=name),
    )


def _folders(session: Session, name: str) -> list[Folder]:
    query = (
        sa.select(FolderRow, VerificationRow)
        .outerjoin(VerificationRow, VerificationRow.folder_id == FolderRow.id)
        .where(FolderRow.account == name)
        .order_by(FolderRow.old_name)
    )
    return [_folder(row, verified) for row, verified in session.execute(query)]


def _folder(row: FolderRow, verified: VerificationRow | None) -> Folder:
    return Folder(
        row.old_name,
        row.new_name,
        row.old_messages,
        row.new_messages,
        row.bytes,
        row.uids,
        row.uids_reason,
        verified.level if verified else "",
        verified.messages if verified else 0,
        len(verified.differences) if verified else 0,
    )


def _problems(ledger: Ledger, name: str) -> list[Asked]:
    found = store.problems(ledger, account=name, states=("open", "decided", "settled", "withdrawn"))
    with ledger.reading() as session:
        return [Asked(problem, store.last_decision(session, problem.id)) for problem in found]


def _collection(ledger: Ledger, row: Any) -> Collection:
    called = str(row.properties.get("displayname") or row.old_href)
    return Collection(row.kind, called, calendars.count_items(ledger, row.id), row.seen_at)

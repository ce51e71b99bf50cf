"""What the sync engine knows of each mailbox: its folders, the map of copied messages as runs, and what was verified.

A run says: old UIDs a, a+1, ... became new UIDs c, c+1, ...; a folder of 100,000 messages costs a few rows.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from bascule.ledger.base import Base, Ledger, now, pieces
from bascule.text.harmless import storable

# `waiting`: a look has found that it needs a pass, and none has ended since; the note says why.
MailboxState = Literal["unknown", "waiting", "copying", "verified", "problems", "kept on old", "failed"]

Source = Literal["old", "new"]

# Where the new side's message of a run came from.
COPIED = "copied"  # Bascule appended it
FOUND = "found"  # it was on the new side before: never removed by Bascule
REPAIRED = "repaired"  # Bascule appended a repaired form, by decision

# The UIDs of a folder on new; "" before a pass has decided.
KEPT = "kept"  # each message of old has its UID on new, under old's UIDVALIDITY
CHANGED = "changed"  # they are others, under another UIDVALIDITY

RUNS_AT_ONCE = 1000  # read or written: a folder with many gaps has many runs


class MailboxRow(Base):
    __tablename__ = "mailbox"

    account: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    state: Mapped[str] = mapped_column(sa.String(16), default="unknown")
    folders: Mapped[int] = mapped_column(default=0)
    messages: Mapped[int] = mapped_column(default=0)
    bytes: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    verified: Mapped[int] = mapped_column(default=0)
    problems: Mapped[int] = mapped_column(default=0)
    passes: Mapped[int] = mapped_column(default=0)
    seconds: Mapped[float] = mapped_column(default=0.0)  # of the last pass
    note: Mapped[str] = mapped_column(sa.Text, default="")
    last_pass_at: Mapped[datetime | None]
    verified_at: Mapped[datetime | None]
    looked_at: Mapped[datetime | None]  # when a look has found nothing to do
    source: Mapped[str] = mapped_column(sa.String(8), default="old", server_default="old")  # that passes carry from


class FolderRow(Base):
    __tablename__ = "folder"
    __table_args__ = (sa.UniqueConstraint("account", "old_hash"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    account: Mapped[str] = mapped_column(sa.String(255), index=True)
    old_name: Mapped[str] = mapped_column(sa.Text)  # as people read it
    old_hash: Mapped[str] = mapped_column(sa.String(64))  # of the name as the old server writes it
    new_name: Mapped[str] = mapped_column(sa.Text)
    created: Mapped[bool] = mapped_column(default=False)  # Bascule created it on new
    subscribed: Mapped[bool] = mapped_column(default=False)
    finished: Mapped[bool] = mapped_column(default=False)  # False: a copy was begun and its end is not known
    doubt_from: Mapped[int] = mapped_column(sa.BigInteger, default=1)  # new UIDs from here on may be of that copy
    old_uidvalidity: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    old_uidnext: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    old_modseq: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    old_messages: Mapped[int] = mapped_column(default=0)
    new_uidvalidity: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    new_uidnext: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    new_modseq: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    new_messages: Mapped[int] = mapped_column(default=0)
    bytes: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    uids: Mapped[str] = mapped_column(sa.String(8), default="")
    uids_reason: Mapped[str] = mapped_column(sa.Text, default="")  # why they have changed
    uids_ended_at: Mapped[datetime | None]  # they had been kept until then
    foreign_uid: Mapped[int] = mapped_column(sa.BigInteger, default=0)  # the first one on new that is not old's
    given_uidvalidity: Mapped[int] = mapped_column(sa.BigInteger, default=0)  # that new is being told to have; 0: none


class RunRow(Base):
    """Old UIDs `old_first`... became new UIDs `new_first`..., `length` of them."""

    __tablename__ = "uid_run"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    folder_id: Mapped[int] = mapped_column(sa.ForeignKey("folder.id", ondelete="CASCADE"), index=True)
    old_first: Mapped[int] = mapped_column(sa.BigInteger)
    new_first: Mapped[int] = mapped_column(sa.BigInteger)
    length: Mapped[int] = mapped_column(sa.Integer)
    origin: Mapped[str] = mapped_column(sa.String(8))


class FlagsRow(Base):
    """The flags of both sides as the last pass saw them, packed (see `bascule.mailbox.state.flags`)."""

    __tablename__ = "folder_flags"

    folder_id: Mapped[int] = mapped_column(sa.ForeignKey("folder.id", ondelete="CASCADE"), primary_key=True)
    packed: Mapped[bytes] = mapped_column(sa.LargeBinary)


class FreshFlagsRow(Base):
    """The flags of what a copy under way has brought to new, packed alike; gone when the folder is finished."""

    __tablename__ = "fresh_flags"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    folder_id: Mapped[int] = mapped_column(sa.ForeignKey("folder.id", ondelete="CASCADE"), index=True)
    packed: Mapped[bytes] = mapped_column(sa.LargeBinary)


class SetAsideRow(Base):
    """A message of the old side that the bulk copy leaves alone: refused, altered, or unreadable."""

    __tablename__ = "message_exception"

    folder_id: Mapped[int] = mapped_column(sa.ForeignKey("folder.id", ondelete="CASCADE"), primary_key=True)
    old_uid: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(sa.String(32))
    tries: Mapped[int] = mapped_column(default=0)


class VerificationRow(Base):
    """What the last verification of a folder found."""

    __tablename__ = "verification"

    folder_id: Mapped[int] = mapped_column(sa.ForeignKey("folder.id", ondelete="CASCADE"), primary_key=True)
    level: Mapped[str] = mapped_column(sa.String(16))
    messages: Mapped[int] = mapped_column(default=0)
    bytes: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    removed_on_new: Mapped[int] = mapped_column(default=0)
    excepted: Mapped[int] = mapped_column(default=0)
    differences: Mapped[list[Any]]
    at: Mapped[datetime]


@dataclass(frozen=True)
class MailboxStatus:
    """One mailbox as the dashboard and the gates see it; `seconds` of its last pass."""

    account: str
    state: MailboxState
    folders: int
    messages: int
    bytes: int
    verified: int
    problems: int
    passes: int
    seconds: float
    note: str
    last_pass_at: datetime | None
    verified_at: datetime | None
    looked_at: datetime | None

    @property
    def seen_at(self) -> datetime | None:
        """When it was last known that new has all of it: by a pass, or by a look that found nothing to do."""
        return max((moment for moment in (self.last_pass_at, self.looked_at) if moment), default=None)

    @property
    def is_unchanged(self) -> bool:
        """Whether a look stands for its last pass: nothing has changed on either side since that one."""
        return (
            self.state == "verified" and self.passes > 0 and self.seen_at is not None and self.seen_at == self.looked_at
        )


def mailbox_states(ledger: Ledger) -> dict[str, MailboxStatus]:
    """Every mailbox that a pass has looked at, by account."""
    with ledger.reading() as session:
        rows = session.scalars(sa.select(MailboxRow).order_by(MailboxRow.account))
        return {row.account: _status(row) for row in rows}


def last_states(session: Session, accounts: Collection[str]) -> dict[str, str]:
    """In which state the last pass left the mailboxes of these accounts, where one has ended."""
    query = sa.select(MailboxRow.account, MailboxRow.state).where(MailboxRow.account.in_(accounts))
    return {row.account: row.state for row in session.execute(query)}


def folder_map(ledger: Ledger, account: str) -> dict[str, str]:
    """Old folder name -> new folder name, as people read them, of every folder that the last pass carried."""
    query = sa.select(FolderRow.old_name, FolderRow.new_name).where(FolderRow.account == account)
    with ledger.reading() as session:
        return {row.old_name: row.new_name for row in session.execute(query)}


def set_mailbox(session: Session, account: str, state: MailboxState, **values: Any) -> None:
    """Write the mailbox's row: its state and the columns given by name."""
    row = session.get(MailboxRow, account)
    if row is None:
        row = MailboxRow(account=account, folders=0, messages=0, bytes=0, verified=0, problems=0, passes=0)
        row.seconds, row.note, row.last_pass_at, row.verified_at, row.looked_at = 0.0, "", None, None, None
        row.source = "old"
        session.add(row)
    row.state = state
    for name, value in values.items():
        setattr(row, name, value)


def source_of(session: Session, account: str) -> Source:
    """From which server passes carry this mailbox."""
    row = session.get(MailboxRow, account)
    return "new" if row is not None and row.source == "new" else "old"


def set_source(session: Session, account: str, source: Source) -> None:
    """They carry it from here on; what is remembered of its folders was turned."""
    row = session.get(MailboxRow, account)
    set_mailbox(session, account, "unknown" if row is None else row.state, source=source)  # type: ignore[arg-type]


def finish_mailbox(
    session: Session,
    account: str,
    state: MailboxState,
    *,
    folders: int,
    messages: int,
    octets: int,
    problems: int,
    seconds: float,
    verified: bool,
) -> None:
    """One more pass over this mailbox has ended now, with these figures."""
    set_mailbox(session, account, state, folders=folders, messages=messages, bytes=octets, problems=problems)
    row = session.get_one(MailboxRow, account)
    row.passes, row.last_pass_at, row.seconds, row.note = row.passes + 1, now(), seconds, ""
    if verified:
        total = sa.select(sa.func.coalesce(sa.func.sum(VerificationRow.messages), 0)).join(
            FolderRow, FolderRow.id == VerificationRow.folder_id
        )
        row.verified = session.scalar(total.where(FolderRow.account == account)) or 0
        row.verified_at = now()


def note_looks(session: Session, unchanged: Collection[str], waiting: Mapping[str, str]) -> None:
    """What a look has found: these mailboxes are as their last passes left them, those need a pass, and why."""
    query = sa.select(MailboxRow).where(MailboxRow.state == "verified")
    for row in session.scalars(query):
        if row.account in unchanged:
            row.looked_at = now()
        elif row.account in waiting:
            row.state, row.looked_at, row.note = "waiting", None, storable(waiting[row.account])


def folders_of(session: Session, account: str) -> list[FolderRow]:
    """The folders of one mailbox that passes have seen."""
    return list(session.scalars(sa.select(FolderRow).where(FolderRow.account == account).order_by(FolderRow.id)))


def all_folders(session: Session) -> list[FolderRow]:
    """The folders of every mailbox."""
    return list(session.scalars(sa.select(FolderRow)))


def uids_of_folders(ledger: Ledger) -> list[tuple[str, str, str, str, datetime | None]]:
    """Of every folder that passes have finished: account, name, KEPT or CHANGED, why changed, and since when."""
    columns = FolderRow.account, FolderRow.old_name, FolderRow.uids, FolderRow.uids_reason, FolderRow.uids_ended_at
    with ledger.reading() as session:
        found = session.execute(sa.select(*columns).where(FolderRow.uids != "").order_by(FolderRow.id))
        return [(row[0], row[1], row[2], row[3], row[4]) for row in found]


def runs_of(session: Session, folder_id: int) -> Iterator[tuple[int, int, int, str]]:
    """The map of one folder: (first old UID, first new UID, length, origin), by old UID; read `in_slices`."""
    query = (
        sa.select(RunRow.old_first, RunRow.new_first, RunRow.length, RunRow.origin)
        .where(RunRow.folder_id == folder_id)
        .order_by(RunRow.old_first)
    )
    for row in session.execute(query.execution_options(yield_per=RUNS_AT_ONCE)):
        yield row[0], row[1], row[2], row[3]


def add_runs(session: Session, folder_id: int, runs: Iterable[tuple[int, int, int, str]]) -> None:
    """Add what was copied; written in slices."""
    waiting = iter(runs)
    while some := [_run(folder_id, run) for run in islice(waiting, RUNS_AT_ONCE)]:
        session.execute(sa.insert(RunRow), some)


def replace_runs(session: Session, folder_id: int, runs: Iterable[tuple[int, int, int, str]]) -> None:
    """Write the folder's map anew, compacted by the caller."""
    session.execute(sa.delete(RunRow).where(RunRow.folder_id == folder_id))
    add_runs(session, folder_id, runs)


def flags_of(session: Session, folder_id: int) -> list[bytes]:
    """The packed flags of the folder's last pass, then those of copies that did not come to their end."""
    row = session.get(FlagsRow, folder_id)
    fresh = sa.select(FreshFlagsRow.packed).where(FreshFlagsRow.folder_id == folder_id).order_by(FreshFlagsRow.id)
    return [*([row.packed] if row else []), *session.scalars(fresh)]


def set_flags(session: Session, folder_id: int, packed: bytes) -> None:
    """Keep the packed flags of this pass."""
    row = session.get(FlagsRow, folder_id)
    if row is None:
        session.add(FlagsRow(folder_id=folder_id, packed=packed))
    else:
        row.packed = packed


def add_fresh_flags(session: Session, folder_id: int, packed: bytes) -> None:
    """Keep the flags of what was just copied, until the folder is finished."""
    session.execute(sa.insert(FreshFlagsRow), {"folder_id": folder_id, "packed": packed})


def clear_fresh_flags(session: Session, folder_id: int) -> None:
    """They are among the folder's flags now."""
    session.execute(sa.delete(FreshFlagsRow).where(FreshFlagsRow.folder_id == folder_id))


def set_aside_of(session: Session, folder_id: int) -> dict[int, tuple[str, int]]:
    """The messages that the bulk copy leaves alone: old UID -> (kind, tries)."""
    query = sa.select(SetAsideRow).where(SetAsideRow.folder_id == folder_id, SetAsideRow.old_uid > 0)
    return {row.old_uid: (row.kind, row.tries) for row in session.scalars(query)}


def accounts_with_set_aside(session: Session, accounts: Collection[str]) -> set[str]:
    """Those of them in whose folders messages wait for a person, or for another try."""
    query = sa.select(FolderRow.account).join(SetAsideRow, FolderRow.id == SetAsideRow.folder_id).distinct()
    return set(session.scalars(query.where(FolderRow.account.in_(accounts), SetAsideRow.old_uid > 0)))


def folders_with_set_aside(session: Session, account: str) -> set[int]:
    """The folders in which messages wait for a person, or for another try."""
    query = sa.select(SetAsideRow.folder_id).join(FolderRow, FolderRow.id == SetAsideRow.folder_id).distinct()
    return set(session.scalars(query.where(FolderRow.account == account, SetAsideRow.old_uid > 0)))


def set_aside(session: Session, folder_id: int, old_uid: int, kind: str) -> None:
    """Leave this message to the copy one by one from now on; one more try is counted."""
    row = session.get(SetAsideRow, (folder_id, old_uid))
    if row is None:
        session.add(SetAsideRow(folder_id=folder_id, old_uid=old_uid, kind=kind, tries=1))
    else:
        row.kind, row.tries = kind, row.tries + 1


def turned_aside(session: Session, folder_id: int) -> dict[int, tuple[str, int]]:
    """What `keep_aside` shall keep when passes carry from the other side: its UIDs count below zero meanwhile."""
    query = sa.select(SetAsideRow).where(SetAsideRow.folder_id == folder_id)
    return {-row.old_uid: (row.kind, row.tries) for row in session.scalars(query)}


def keep_aside(session: Session, folder_id: int, aside: Mapping[int, tuple[str, int]]) -> None:
    """Set these messages aside, in a folder that has none."""
    for uid, (kind, tries) in aside.items():
        session.add(SetAsideRow(folder_id=folder_id, old_uid=uid, kind=kind, tries=tries))


def clear_set_aside(session: Session, folder_id: int, old_uids: list[int]) -> None:
    """These messages have arrived, or are gone from old."""
    for some in pieces(old_uids):
        session.execute(sa.delete(SetAsideRow).where(SetAsideRow.folder_id == folder_id, SetAsideRow.old_uid.in_(some)))


def forget_uids(session: Session, folder_id: int) -> None:
    """The UIDs of this folder have lost their meaning: the map, the flags and what was set aside with them."""
    for table in (RunRow, FlagsRow, FreshFlagsRow, SetAsideRow):
        session.execute(sa.delete(table).where(table.folder_id == folder_id))


def forget_folder(session: Session, folder_id: int) -> None:
    """The folder is gone from old and dealt with on new: nothing of it is kept."""
    for table in (RunRow, FlagsRow, FreshFlagsRow, SetAsideRow, VerificationRow):
        session.execute(sa.delete(table).where(table.folder_id == folder_id))
    session.execute(sa.delete(FolderRow).where(FolderRow.id == folder_id))


def set_verification(session: Session, row: VerificationRow) -> None:
    """Keep the result of a folder's verification."""
    session.merge(row)


def verified_level(session: Session, folder_id: int) -> str | None:
    """The level of the folder's last verification."""
    row = session.get(VerificationRow, folder_id)
    return row.level if row else None


def _run(folder_id: int, run: tuple[int, int, int, str]) -> dict[str, Any]:
    return {"folder_id": folder_id, "old_first": run[0], "new_first": run[1], "length": run[2], "origin": run[3]}


def _status(row: MailboxRow) -> MailboxStatus:
    return MailboxStatus(
        account=row.account,
        state=row.state,  # type: ignore[arg-type]
        folders=row.folders,
        messages=row.messages,
        bytes=row.bytes,
        verified=row.verified,
        problems=row.problems,
        passes=row.passes,
        seconds=row.seconds,
        note=row.note,
        last_pass_at=row.last_pass_at,
        verified_at=row.verified_at,
        looked_at=row.looked_at,
    )

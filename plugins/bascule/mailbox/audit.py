"""A verification by itself: every folder of the mailbox, as both servers hold it now. Nothing is changed on either."""

from dataclasses import dataclass, field

from bascule.ledger import Ledger, mailboxes
from bascule.ledger.base import now
from bascule.ledger.mailboxes import VerificationRow
from bascule.mailbox import names
from bascule.mailbox.endpoints import MailboxJob
from bascule.mailbox.errors import Refused
from bascule.mailbox.extras_audit import ExtrasAudit
from bascule.mailbox.flags import Memory
from bascule.mailbox.folders import look_around
from bascule.mailbox.looking import UNLISTABLE
from bascule.mailbox.session import Session
from bascule.mailbox.state import name_hash
from bascule.mailbox.uidmap import UidMap
from bascule.mailbox.verify import Side, Verified, verify_folder


@dataclass(frozen=True)
class FolderAudit:
    """One folder: messages and bytes that are the same on both sides, and what is not."""

    folder: str
    messages: int
    bytes: int
    removed_on_new: int
    differences: list[str]


@dataclass
class Audit:
    """One mailbox."""

    account: str
    level: str
    folders: list[FolderAudit] = field(default_factory=list)

    @property
    def messages(self) -> int:
        return sum(folder.messages for folder in self.folders)

    @property
    def bytes(self) -> int:
        return sum(folder.bytes for folder in self.folders)

    @property
    def differences(self) -> int:
        return sum(len(folder.differences) for folder in self.folders)


def audit(job: MailboxJob, ledger: Ledger) -> Audit:
    """Verify every folder at the job's level and keep the results. Raises TransientError, MailboxFailed."""
    result = Audit(job.account, job.options.verify)
    old, new = Session(job.old), Session(job.new)
    try:
        there = look_around(old).folders
        extras = ExtrasAudit(job, ledger, old, new)
        with ledger.reading() as session:
            rows = {row.old_hash: row for row in mailboxes.folders_of(session, job.account)}
        for raw in sorted(there):
            folder = there[raw]
            row = rows.get(name_hash(raw))
            if folder.status is None or names.display(raw) in job.options.exclude:
                continue
            if row is None:
                words = [f"{folder.status.messages} message(s) were never copied"] if folder.status.messages else []
                result.folders.append(FolderAudit(names.display(raw), 0, 0, 0, words))
            else:
                sides = Side(old, raw), Side(new, names.encode(row.new_name))
                found = _audit_folder(job, ledger, row.id, sides, folder.status.messages)
                found.differences.extend(extras.folder(raw, sides[1].raw))
                result.folders.append(found)
    finally:
        old.close()
        new.close()
    return result


def _audit_folder(
    job: MailboxJob, ledger: Ledger, folder_id: int, sides: tuple[Side, Side], messages: int
) -> FolderAudit:
    shown = names.display(sides[0].raw)
    with ledger.reading() as session:
        uid_map = UidMap(mailboxes.runs_of(session, folder_id))
        memory = Memory(*mailboxes.flags_of(session, folder_id))
        exceptions = mailboxes.exceptions_of(session, folder_id)
    avoided = [uid for uid, (kind, _) in exceptions.items() if kind == UNLISTABLE]
    try:
        verified = verify_folder(*sides, uid_map, job.options.verify, avoided=avoided)
    except Refused as error:
        return FolderAudit(shown, 0, 0, 0, [error.words])
    removed = sum(1 for d in verified.differences if d.kind == "missing" and memory.gone(d.old_uid))
    words = [
        f"old UID {d.old_uid}, new UID {d.new_uid}: {d.kind} {d.old!r} on old, {d.new!r} on new"
        for d in verified.differences
        if not (d.kind == "missing" and memory.gone(d.old_uid)) and not _known(d.old_uid, d.kind, memory, verified)
    ]
    uncopied = messages - len(uid_map) - len([uid for uid in exceptions if uid not in uid_map])
    if uncopied > 0:
        words.append(f"{uncopied} message(s) are not copied yet")
    _keep(ledger, folder_id, job.options.verify, verified, removed, len(exceptions))
    return FolderAudit(shown, verified.messages, verified.bytes, removed, words)


def _known(old_uid: int, kind: str, memory: Memory, verified: Verified) -> bool:
    """Flags that differ because their user changed them on new."""
    return kind == "flags" and memory.new(old_uid) == verified.new_flags.get(old_uid)


def _keep(ledger: Ledger, folder_id: int, level: str, verified: Verified, removed: int, excepted: int) -> None:
    with ledger.session() as session:
        mailboxes.set_verification(
            session,
            VerificationRow(
                folder_id=folder_id, level=level, messages=verified.messages, bytes=verified.bytes,
                removed_on_new=removed, excepted=excepted,
                differences=[vars(difference) for difference in verified.differences[:1000]], at=now(),
            ),
        )  # fmt: skip

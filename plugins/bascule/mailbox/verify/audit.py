"""A verification by itself: every folder of the mailbox, as both servers hold it now. Nothing is changed on either."""

from dataclasses import dataclass, field
from functools import cached_property

from bascule.ledger import Ledger, mailboxes
from bascule.ledger.base import now
from bascule.ledger.mailboxes import CHANGED, KEPT, FolderRow, VerificationRow
from bascule.mailbox.attributes.compare import AttributesAudit
from bascule.mailbox.imap import flags as flag_rules
from bascule.mailbox.imap.errors import Refused, TransientError
from bascule.mailbox.imap.folders import Folder, list_folders
from bascule.mailbox.job import MailboxJob, VerifyLevel
from bascule.mailbox.messages.describe import message_subject
from bascule.mailbox.state.flags import Memory
from bascule.mailbox.state.folder import UNLISTABLE, name_hash
from bascule.mailbox.state.uidmap import UidMap
from bascule.mailbox.verify.folder import MOST_NAMED, FolderVerification, Found, Known, sentence
from bascule.mailbox.verify.uids import differing_uids
from bascule.mailbox.workers import Sessions, Side, in_parallel
from bascule.problems import rules, store
from bascule.problems.model import Action, Decision
from bascule.text import mutf7
from bascule.text.logs import get_logger
from bascule.text.name_map import NameMap

log = get_logger(__name__)

TRIES = 3  # of one folder, and of the whole, where connections are lost

_BY_HEADER = "each message of old with its counterpart on new (known by date, size, Message-Id, From, Subject and Date)"
COMPARED: dict[VerifyLevel, str] = {
    "none": "whether each folder is there; not its messages",
    "counts": f"whether {_BY_HEADER} is there; not flags, keywords and the text of messages",
    "attributes": f"{_BY_HEADER}: dates, sizes, flags, keywords; not the text of messages",
    "content": "each message of old with its counterpart on new (known by its octets): octets (SHA-256), dates, flags, "
    "keywords",
}


@dataclass(frozen=True)
class FolderAudit:
    """One folder: messages and bytes that are the same on both sides, what is not, and what must not go unsaid."""

    folder: str
    messages: int
    bytes: int
    removed_on_new: int
    differences: list[str]
    counted: list[str] = field(default_factory=list)


@dataclass
class Audit:
    """One mailbox. `compared`: what was, and what was not. `counted`: of the whole mailbox, what is no difference."""

    account: str
    level: str
    folders: list[FolderAudit] = field(default_factory=list)
    compared: str = ""
    counted: list[str] = field(default_factory=list)

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
    for _ in range(TRIES - 1):
        try:
            return _audit(job, ledger)
        except TransientError as error:
            log.warning("verification interrupted, beginning anew", account=job.account, reason=str(error))
    return _audit(job, ledger)


def _audit(job: MailboxJob, ledger: Ledger) -> Audit:
    sessions = Sessions(job.old, job.new)
    sessions.open()
    try:
        return _MailboxAudit(job, ledger, sessions).run()
    except Refused as error:
        raise TransientError(str(error)) from None
    finally:
        sessions.close()


class _MailboxAudit:
    def __init__(self, job: MailboxJob, ledger: Ledger, sessions: Sessions) -> None:
        self.job, self.ledger, self.sessions = job, ledger, sessions
        self.level = job.options.verify
        self.result = Audit(job.account, self.level, compared=COMPARED[self.level])
        self.on_old, self.on_new = in_parallel(
            lambda: list_folders(sessions.source), lambda: list_folders(sessions.destination)
        )
        self.names = NameMap(
            self.on_old.namespace, self.on_new.namespace, dict(job.options.rename), dict(job.options.replace)
        )
        self.attributes = AttributesAudit(job, ledger, sessions)
        self.decisions = store.decisions(ledger, job.account, "mailbox")
        self.accepted = {problem.subject for problem, decision in self.decisions if _accepts(decision)}
        self.left_out = rules.folders_left_out(self.decisions) | set(job.options.exclude)
        with ledger.reading() as session:
            self.rows = {row.old_hash: row for row in mailboxes.folders_of(session, job.account)}

    def run(self) -> Audit:
        for name, folder in sorted(self.on_old.folders.items()):
            if folder.selectable:
                self.result.folders.append(self._tried(folder, self.rows.get(name_hash(name))))
        self._folders_gone_from_old()
        self._folders_of_new_alone()
        for what, names in (
            ("of other people", self.on_old.others),
            ("shared, in nobody's mailbox,", self.on_old.shared),
            ("virtual", self.on_old.virtual),
        ):
            if names:
                self.result.counted.append(f"{len(names)} folder(s) on old are {what} and not compared: {_some(names)}")
        return self.result

    def _tried(self, folder: Folder, row: FolderRow | None) -> FolderAudit:
        """Once more, on other connections, when one was lost: only this folder has to be looked at again."""
        for _ in range(TRIES - 1):
            try:
                return self._folder(folder, row)
            except TransientError as error:
                log.warning("verification interrupted, going on", account=self.job.account, reason=str(error))
                self.sessions.close(cut=True)
        return self._folder(folder, row)

    def _folder(self, folder: Folder, row: FolderRow | None) -> FolderAudit:
        name = mutf7.display(folder.encoded)
        if name in self.left_out:
            messages = folder.status.messages if folder.status else 0
            return FolderAudit(name, 0, 0, 0, [], [f"left out by decision or by the site file: {messages} message(s)"])
        if folder.status is None:
            return FolderAudit(name, 0, 0, 0, [f"the old server does not open it: {folder.refusal}"])
        target = self._target(folder, row)
        there = self.on_new.folders.get(target) if target is not None else None
        if target is None or there is None or not there.selectable:
            messages = folder.status.messages
            return FolderAudit(name, 0, 0, 0, [f"the folder is not on new: {messages} message(s) are missing"])
        try:
            found = self._verified(folder, target, row)
        except Refused as error:
            return FolderAudit(name, 0, 0, 0, [f"the folder can't be opened: {error.text}"])
        sentences = [sentence(difference) for difference in found.differences[:MOST_NAMED]]
        if len(found.differences) > MOST_NAMED:
            sentences.append(f"and {len(found.differences) - MOST_NAMED} more differences")
        sentences += self.attributes.folder(folder.encoded, target)
        counted = [f"{number} {what}" for what, number in found.counted.items()]
        if row is not None and row.uids == CHANGED:
            counted.append(f"its UIDs and UIDVALIDITY are others than on old: {row.uids_reason}")
        elif row is not None and row.uids == KEPT:
            sentences += self._differing_uids(folder, target, row)
            counted.append("its UIDVALIDITY and all its UIDs were compared with those of old")
        return FolderAudit(name, found.messages, found.bytes, found.removed_on_new, sentences, counted)

    def _target(self, folder: Folder, row: FolderRow | None) -> bytes | None:
        """Where the folder is on new: under the name that it was given, else under the one that it would get."""
        if row is not None:
            return mutf7.encode(row.new_name)
        plain = self.names.to_new(folder.encoded)
        return plain if isinstance(plain, bytes) else None

    def _verified(self, folder: Folder, target: bytes, row: FolderRow | None) -> Found:
        known = self._known(row) if row is not None else Known()
        sides = Side(self.sessions.source, folder.encoded), Side(self.sessions.destination, target)
        found = FolderVerification(*sides, self.level, known).run() if self.level != "none" else Found()
        if row is not None:
            self._keep(row, found, len(known.set_aside))
        return found

    def _differing_uids(self, folder: Folder, target: bytes, row: FolderRow) -> list[str]:
        known = self._known(row)
        old, new = Side(self.sessions.source, folder.encoded), Side(self.sessions.destination, target)
        return differing_uids(
            old, new, known.uid_map, row.old_uidnext,
            lambda uid: uid in known.set_aside or uid in known.unlistable or known.memory.gone(uid),
        )  # fmt: skip

    def _known(self, row: FolderRow) -> Known:
        with self.ledger.reading(in_slices=True) as session:
            uid_map = UidMap(mailboxes.runs_of(session, row.id))
            memory = Memory(*mailboxes.flags_of(session, row.id))
            aside = mailboxes.set_aside_of(session, row.id)
        return Known(
            uid_map,
            memory,
            set_aside=frozenset(uid for uid in aside if uid not in uid_map),
            unlistable=frozenset(uid for uid, (kind, _) in aside.items() if kind == UNLISTABLE),
            accepted=frozenset(uid for uid in aside if message_subject(row.old_name, uid) in self.accepted),
            dropped=frozenset(
                flag_rules.keyword(problem.facts["keyword"])
                for problem, _ in self.decisions
                if problem.kind == "keyword-refused" and problem.facts.get("folder") == row.old_name
            ),
            refused=frozenset(
                flag_rules.keyword(problem.facts["keyword"])
                for problem in store.problems(self.ledger, account=self.job.account, room="mailbox")
                if problem.kind == "keyword-refused" and problem.facts.get("folder") == row.old_name
            ),
            folder=(row.old_hash, row.old_uidvalidity),
        )

    def _keep(self, row: FolderRow, found: Found, excepted: int) -> None:
        with self.ledger.session() as session:
            mailboxes.set_verification(
                session,
                VerificationRow(
                    folder_id=row.id, level=self.level, messages=found.messages, bytes=found.bytes,
                    removed_on_new=found.removed_on_new, excepted=excepted,
                    differences=found.differences[:MOST_NAMED], at=now(),
                ),
            )  # fmt: skip

    # -- folders without a counterpart

    def _folders_gone_from_old(self) -> None:
        on_old = {name_hash(name) for name in self.on_old.folders}
        for row in self.rows.values():
            on_new = self.on_new.folders.get(mutf7.encode(row.new_name))
            if row.old_hash in on_old or on_new is None or on_new.encoded in self._targets:
                continue
            messages = on_new.status.messages if on_new.status else 0
            self.result.counted.append(
                f"the folder {row.old_name!r} is gone from old and still on new ({row.new_name!r}): "
                f"{messages} message(s)"
            )

    def _folders_of_new_alone(self) -> None:
        given = {mutf7.encode(row.new_name) for row in self.rows.values()}
        alone = [
            name
            for name, folder in self.on_new.folders.items()
            if folder.selectable and name not in given and name not in self._targets
        ]
        if alone:
            self.result.counted.append(f"{len(alone)} folder(s) are on new alone: {_some(alone)}")

    @cached_property
    def _targets(self) -> set[bytes | None]:
        """The names that old's folders have on new."""
        return {self._target(folder, self.rows.get(name_hash(name))) for name, folder in self.on_old.folders.items()}


def _accepts(decision: Decision) -> bool:
    """Whether a person does without what the problem names, or takes it as it is."""
    return rules.leaves_out(decision) or rules.applies(decision, Action.ACCEPT)


def _some(names: "list[bytes] | dict[bytes, str]") -> str:
    first = [repr(mutf7.display(name)) for name in list(names)[:5]]
    return ", ".join(first) + (", ..." if len(names) > 5 else "")

"""One folder during a pass: what the ledger knew of it, what the servers say, and what the pass has done so far."""

import hashlib
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from bascule.ledger import Ledger, mailboxes
from bascule.ledger.mailboxes import COPIED, KEPT, FolderRow, VerificationRow
from bascule.mailbox.imap.flags import Flags, only_by_store
from bascule.mailbox.imap.folders import Folder, FolderStatus
from bascule.mailbox.imap.listing import Listed
from bascule.mailbox.state.flags import Memory, packed
from bascule.mailbox.state.uidmap import Run, UidMap
from bascule.mailbox.workers import Sessions, Side
from bascule.text import mutf7
from bascule.text.logs import get_logger

log = get_logger(__name__)

UNLISTABLE = "unlistable"  # kind of message set aside: old breaks off when it is asked for the message's size and date
SAVE_SECONDS = 0.3  # what was copied in this time may have to be looked for after a crash (it is never sent twice)


@dataclass
class Counts:
    """What a pass has done, over all folders. They add under the lock."""

    copied: int = 0
    bytes: int = 0
    flags: int = 0
    removed: int = 0
    verified: int = 0
    broken: Counter[tuple[int, int]] = field(default_factory=Counter)  # (folder, old UID) -> connections that it cost
    killed: Counter[tuple[int, int]] = field(default_factory=Counter)  # the same of the connections to new
    broken_texts: dict[tuple[int, int], str] = field(default_factory=dict)  # how the last of these connections ended
    in_smaller_batches: dict[tuple[int, int], int] = field(default_factory=dict)  # (folder, old UID) -> at most so many
    destination_broken: int = 0  # connections to new that were lost while it got messages
    unanswered: dict[int, set[int]] = field(default_factory=dict)  # folder -> old UIDs on their way when new broke off
    unanswered_from: dict[int, int] = field(default_factory=dict)  # folder -> the lowest UID that new can give to them
    lost_at: float = 0.0  # when that was last, by the monotonic clock
    busy: Counter[str] = field(default_factory=Counter)  # folder -> attempts in which a server did nothing with it
    # (side, folder) -> connections lost while it was listed
    broken_listings: Counter[tuple[str, str]] = field(default_factory=Counter)
    placeholders_fit: bool = True  # beside what is to be copied, into new's quota
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, **amounts: int) -> None:
        with self.lock:
            for name, amount in amounts.items():
                setattr(self, name, getattr(self, name) + amount)


class FolderState:
    """What all sessions share about one folder. Its lock guards the map, the memory and the ledger's row."""

    def __init__(self, ledger: Ledger, account: str, old: Folder, new_encoded: bytes, row: FolderRow | None) -> None:
        self.ledger = ledger
        self.old, self.new_encoded = old, new_encoded
        self.new: Folder | None = None
        self.lock = threading.RLock()
        self.row = row or FolderRow(
            account=account, old_name=mutf7.display(old.encoded), old_hash=name_hash(old.encoded), created=False,
            subscribed=False, finished=False, doubt_from=1, old_uidvalidity=0, old_uidnext=0, old_modseq=0,
            old_messages=0, new_uidvalidity=0, new_uidnext=0, new_modseq=0, new_messages=0, bytes=0,
            uids="", uids_reason="", foreign_uid=0, given_uidvalidity=0,
        )  # fmt: skip
        self.row.new_name = mutf7.display(new_encoded)
        self.map = UidMap()
        self.memory = Memory()
        self.aside: dict[int, tuple[str, int]] = {}  # old UIDs that the bulk copy leaves alone -> (kind, tries)
        self.aside_before: frozenset[int] = frozenset()  # those that earlier passes have set aside
        self.suspects: set[int] = set()  # copied messages that contain what servers are known to alter
        self.later_keywords: dict[int, Flags] = {}  # new UID -> keywords that are set by a STORE
        self.arriving_from = 0  # the lowest UID that new can give to what is copied now
        self.unsure = False  # a batch arrived of which the new UIDs are not known
        self.recheck: set[int] = set()  # old UIDs whose flags this pass has changed on new
        self.late: set[int] = set()  # copied by this pass, though an earlier one has met higher UIDs
        self.touched = False  # the new side was changed by this pass
        self.distrusted = False  # a number that only may rise has not: every message is verified again
        self.uidnext = 0  # what new gives next, as far as is known; looked at where UIDs are kept only
        self.misplaced = False  # new has given a message another UID than it has on old
        self.placeholders = 0  # sent to new in the place of missing UIDs, and not known to be gone
        self._unsaved: list[tuple[int, int, int, str]] = []
        self._fresh: list[tuple[int, Flags, Flags]] = []  # flags of what arrived and is not saved
        self._fresh_rows = 0  # in the ledger
        self._written = 0  # runs in the ledger
        self._saved_at = 0.0

    @property
    def name(self) -> str:
        """On old, as people read it."""
        return self.row.old_name

    @property
    def keeps_uids(self) -> bool:
        """Whether each message of old has its UID on new, under old's UIDVALIDITY."""
        return self.row.uids == KEPT

    def sides(self, sessions: Sessions) -> tuple[Side, Side]:
        """The folder on old, under the UIDVALIDITY that it was listed under, and on new. Opens what is not open."""
        source = Side(sessions.source, self.old.encoded, self.row.old_uidvalidity)
        return source, Side(sessions.destination, self.new_encoded)

    def set_new(self, folder: Folder | None) -> None:
        """The folder as new lists it now. What doveadm was asked to do and is seen to be done needs no asking again."""
        self.new = folder
        status = folder.status if folder else None
        if status is not None and self.row.given_uidvalidity == status.uidvalidity:
            self.row.new_uidvalidity, self.row.given_uidvalidity = status.uidvalidity, 0

    @property
    def is_unchanged(self) -> bool:
        """Whether both servers say that nothing has happened since the last pass, and count changes to know it."""
        old, new = self.old.status, self.new.status if self.new else None
        if old is None or new is None or not (old.modseq and new.modseq) or self.row.given_uidvalidity:
            return False
        return self.row.finished and (old, new) == (last_on_old(self.row), last_on_new(self.row))

    def verified_before(self, level: str) -> bool:
        """Whether earlier passes have verified at this level what they copied."""
        if self.row.id is None or not len(self.map):
            return False
        with self.ledger.reading() as session:
            return mailboxes.verified_level(session, self.row.id) == level

    def load(self) -> None:
        """Read the map, the flags and what earlier passes set aside."""
        if self.row.id is None:
            return
        with self.ledger.reading(in_slices=True) as session:
            self.map = UidMap(mailboxes.runs_of(session, self.row.id))
            self._written = self.map.given
            pieces = mailboxes.flags_of(session, self.row.id)
            self.memory = Memory(*pieces)
            self._fresh_rows = 0 if self.row.finished else len(pieces)
            self.aside = mailboxes.set_aside_of(session, self.row.id)
        self.aside_before = frozenset(self.aside)

    def begin_copy(self, doubt_from: int) -> None:
        """Write down, before the first message is sent, where messages of this copy can be found on new."""
        if self.row.finished or self.row.id is None or self.row.doubt_from > doubt_from:
            self.row.doubt_from = doubt_from
        self.row.finished = False
        self.arriving_from = doubt_from
        self.save_row()

    def forget_map(self) -> None:
        """UIDs have lost their meaning (UIDVALIDITY changed): messages are matched by content again."""
        self.map, self.memory, self.aside, self.aside_before = UidMap(), Memory(), {}, frozenset()
        self.map.changed, self._written = True, 0
        self.row.finished, self.row.doubt_from = False, 1
        self.row.old_uidvalidity = self.row.new_uidvalidity = self.row.foreign_uid = 0
        self.row.uids = ""
        if self.row.id is not None:
            with self.ledger.session() as session:
                mailboxes.forget_uids(session, self.row.id)

    def take_other_uids(self, runs: list[Run], flags: list[tuple[int, Flags, Flags]], doubt_from: int) -> None:
        """Old's UIDs have lost their meaning, and these messages were found again; new's are still what they were."""
        uids = self.row.uids
        self.forget_map()
        self.row.uids, self.row.doubt_from = uids, doubt_from
        with self.ledger.session() as session:
            mailboxes.add_runs(session, self.row.id, runs)
            mailboxes.add_fresh_flags(session, self.row.id, packed(flags))
        self.load()

    def arrived(
        self, pairs: list[tuple[int, int]], flags: list[tuple[int, Flags, Flags]], origin: str = COPIED
    ) -> None:
        """Messages are on new: (old UID, new UID) and (old UID, flags on old, flags on new). Saved soon."""
        with self.lock:
            self._unsaved += self.map.add(pairs, origin)
            if origin == COPIED:
                self.late.update(old for old, _ in pairs if old < self.row.old_uidnext)
            if self.keeps_uids:
                self._note_uids(pairs)
            self.memory.remember_batch(flags)
            self._fresh += flags
            self.touched = True
            if time.monotonic() - self._saved_at > SAVE_SECONDS:
                self.save_runs()

    def _note_uids(self, pairs: list[tuple[int, int]]) -> None:
        for old, new in pairs:
            self.uidnext = max(self.uidnext, new + 1)
            if old != new:
                self.misplaced = True
                self.note_foreign(new)

    def note_foreign(self, new_uid: int) -> None:
        """This message on new is none that has its UID from old."""
        self.row.foreign_uid = min(self.row.foreign_uid or new_uid, new_uid)

    def appended(self, messages: list[Listed], new_uids: list[int]) -> None:
        """One APPEND was answered; without UIDs when new tells none, so that the messages are looked for later."""
        # What lay there before the copy can't be what has just arrived.
        if len(new_uids) != len(messages) or min(new_uids, default=0) < self.arriving_from:
            self.unsure = self.touched = self.misplaced = True
            return
        pairs, flags = [], []
        for message, new_uid in zip(messages, new_uids, strict=True):
            later = only_by_store(message.flags)
            pairs.append((message.uid, new_uid))
            flags.append((message.uid, message.flags, message.flags - later if later else message.flags))
            if later:
                self.later_keywords[new_uid] = later
        self.arrived(pairs, flags)

    def save_runs(self) -> None:
        """Write what arrived into the ledger, with its flags: a pass that goes on has to know what was left on new."""
        with self.lock:
            runs, self._unsaved = self._unsaved, []
            fresh, self._fresh = self._fresh, []
            if runs and self.row.id is not None:
                with self.ledger.session() as session:
                    mailboxes.add_runs(session, self.row.id, runs)
                    if fresh:
                        mailboxes.add_fresh_flags(session, self.row.id, packed(fresh))
                self._written += len(runs)
                self._fresh_rows += bool(fresh)
            self._saved_at = time.monotonic()

    def save_row(self) -> None:
        """Write the folder's row."""
        with self.ledger.session() as session:
            session.add(self.row)  # what has changed of it is written, and nothing read

    def finish(self, old: FolderStatus, new: FolderStatus, verification: VerificationRow | None = None) -> None:
        """Everything of this folder was looked at: what both servers said when the look began is what was seen.

        All of it is one transaction: a mailbox may have thousands of folders, and each transaction waits for the disk.
        """
        with self.lock:
            all_written, self._unsaved, self._fresh = not self._unsaved, [], []
            self.map.settle()
            self._remember_statuses(old, new)
            with self.ledger.session() as session:
                session.add(self.row)
                session.flush()
                if verification is not None:
                    verification.folder_id = self.row.id
                    mailboxes.set_verification(session, verification)
                if not (all_written and self.map.is_written(self._written)):
                    mailboxes.replace_runs(session, self.row.id, self.map.runs)
                if self.map.changed or self.memory.changed or self._fresh_rows:
                    mailboxes.set_flags(session, self.row.id, self.memory.pack(self.map.__contains__))
                if self._fresh_rows:
                    mailboxes.clear_fresh_flags(session, self.row.id)
                    self._fresh_rows = 0

    def _remember_statuses(self, old: FolderStatus, new: FolderStatus) -> None:
        row = self.row
        row.finished = True
        row.old_uidvalidity, row.old_uidnext = old.uidvalidity, old.uidnext
        row.old_modseq, row.old_messages = old.modseq, old.messages
        row.new_uidvalidity, row.new_uidnext = new.uidvalidity, new.uidnext
        row.new_modseq, row.new_messages = new.modseq, new.messages

    def set_aside(self, uid: int, kind: str) -> None:
        """Leave this message to the single copy from now on."""
        with self.lock, self.ledger.session() as session:
            mailboxes.set_aside(session, self.row.id, uid, kind)
            self.aside[uid] = (kind, self.aside.get(uid, ("", 0))[1] + 1)

    def unlistable(self) -> list[int]:
        """Old UIDs that must not even be listed."""
        return [uid for uid, (kind, _) in self.aside.items() if kind == UNLISTABLE]

    def take_back(self, uids: list[int]) -> None:
        """These messages have arrived or are gone."""
        known = [uid for uid in uids if uid in self.aside]
        if known:
            with self.lock, self.ledger.session() as session:
                mailboxes.clear_set_aside(session, self.row.id, known)
                for uid in known:
                    del self.aside[uid]


def last_on_old(row: FolderRow) -> FolderStatus:
    """What old said when the last finished pass began: equal to what it says now, nothing has happened."""
    return FolderStatus(row.old_messages, row.old_uidnext, row.old_uidvalidity, row.old_modseq)


def last_on_new(row: FolderRow) -> FolderStatus:
    """The same of new, after that pass."""
    return FolderStatus(row.new_messages, row.new_uidnext, row.new_uidvalidity, row.new_modseq)


def name_hash(encoded: bytes) -> str:
    """The key of a folder in the ledger: its name as the old server writes it."""
    return hashlib.sha256(encoded).hexdigest()

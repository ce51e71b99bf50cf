"""One folder during a pass: what the ledger knew of it, what the servers say, and what the pass has done so far."""

import hashlib
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from bascule.ledger import Ledger, mailboxes
from bascule.ledger.mailboxes import COPIED, FolderRow
from bascule.logs import get_logger
from bascule.mailbox import names
from bascule.mailbox.flags import Flags, Memory, packed
from bascule.mailbox.folders import Folder, FolderStatus
from bascule.mailbox.uidmap import UidMap

log = get_logger(__name__)

SAVE_SECONDS = 0.3  # what was copied in this time may have to be looked for after a crash (it is never sent twice)


@dataclass
class Counts:
    """What a pass has done, over all folders. Lanes add under the lock."""

    copied: int = 0
    bytes: int = 0
    flags: int = 0
    removed: int = 0
    conflicts: int = 0
    verified: int = 0
    broken: Counter[tuple[int, int]] = field(default_factory=Counter)  # (folder, old UID) -> connections that it cost
    broken_words: dict[tuple[int, int], str] = field(default_factory=dict)  # how the last of these connections ended
    broken_listings: Counter[str] = field(default_factory=Counter)  # folder -> connections lost while it was listed
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, **amounts: int) -> None:
        with self.lock:
            for name, amount in amounts.items():
                setattr(self, name, getattr(self, name) + amount)


class FolderState:
    """What lanes share about one folder. Its lock guards the map, the memory and the ledger's row."""

    def __init__(self, ledger: Ledger, account: str, old: Folder, new_raw: bytes, row: FolderRow | None) -> None:
        self.ledger = ledger
        self.old, self.new_raw = old, new_raw
        self.new: Folder | None = None
        self.lock = threading.RLock()
        self.row = row or FolderRow(
            account=account, old_name=names.display(old.raw), old_hash=name_hash(old.raw), created=False,
            subscribed=False, finished=False, doubt_from=1, old_uidvalidity=0, old_uidnext=0, old_modseq=0,
            old_messages=0, new_uidvalidity=0, new_uidnext=0, new_modseq=0, new_messages=0, bytes=0,
        )  # fmt: skip
        self.row.new_name = names.display(new_raw)
        self.map = UidMap()
        self.memory = Memory()
        self.exceptions: dict[int, tuple[str, int]] = {}
        self.excepted_before: frozenset[int] = frozenset()  # those that earlier passes have set aside, under these UIDs
        self.suspects: set[int] = set()  # copied messages that contain what servers are known to alter
        self.refused: dict[int, str] = {}  # old UID -> the server's words
        self.later_keywords: dict[int, Flags] = {}  # new UID -> keywords that are set by a STORE
        self.unsure = False  # a batch arrived of which the new UIDs are not known
        self.recheck: set[int] = set()  # old UIDs whose flags this pass has changed on new
        self.touched = False  # the new side was changed by this pass
        self.chunks_left = 0
        self._unsaved: list[tuple[int, int, int, str]] = []
        self._fresh: list[tuple[int, Flags, Flags]] = []  # flags of what arrived and is not saved
        self._fresh_rows = 0  # in the ledger
        self._written = 0  # runs in the ledger
        self._saved_at = 0.0

    @property
    def shown(self) -> str:
        return self.row.old_name

    def has_exceptions(self) -> bool:
        """Whether messages of this folder wait for a person, or for another try."""
        if self.row.id is None:
            return False
        with self.ledger.reading() as session:
            return bool(mailboxes.exceptions_of(session, self.row.id))

    def verified_before(self, level: str) -> bool:
        """Whether earlier passes have verified at this level what they copied."""
        if self.row.id is None or not len(self.map):
            return False
        with self.ledger.reading() as session:
            return mailboxes.verified_level(session, self.row.id) == level

    def load(self) -> None:
        """Read the map, the flags and the exceptions of earlier passes."""
        if self.row.id is None:
            return
        with self.ledger.reading() as session:
            self.map = UidMap(mailboxes.runs_of(session, self.row.id))
            self._written = self.map.given
            pieces = mailboxes.flags_of(session, self.row.id)
            self.memory = Memory(*pieces)
            self._fresh_rows = 0 if self.row.finished else len(pieces)
            self.exceptions = mailboxes.exceptions_of(session, self.row.id)
        self.excepted_before = frozenset(self.exceptions)

    def begin_copy(self, doubt_from: int) -> None:
        """Write down, before the first message is sent, where messages of this copy can be found on new."""
        if self.row.finished or self.row.id is None or self.row.doubt_from > doubt_from:
            self.row.doubt_from = doubt_from
        self.row.finished = False
        self.save_row()

    def forget_map(self) -> None:
        """UIDs have lost their meaning (UIDVALIDITY changed): messages are matched by content again."""
        self.map, self.memory, self.exceptions, self.excepted_before = UidMap(), Memory(), {}, frozenset()
        self.map.changed, self._written = True, 0
        self.row.finished, self.row.doubt_from = False, 1
        if self.row.id is not None:
            with self.ledger.session() as session:
                mailboxes.forget_uids(session, self.row.id)

    def arrived(
        self, pairs: list[tuple[int, int]], flags: list[tuple[int, Flags, Flags]], origin: str = COPIED
    ) -> None:
        """Messages are on new: (old UID, new UID) and (old UID, flags on old, flags on new). Saved soon."""
        with self.lock:
            self._unsaved += self.map.add(pairs, origin)
            self.memory.remember_batch(flags)
            self._fresh += flags
            self.touched = True
            if time.monotonic() - self._saved_at > SAVE_SECONDS:
                self.save_runs()

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

    def finish(self, old: FolderStatus, new: FolderStatus) -> None:
        """Everything of this folder was looked at: what both servers said when the look began is what was seen."""
        with self.lock:
            all_written, self._unsaved, self._fresh = not self._unsaved, [], []
            self.map.settle()
            self._remember_statuses(old, new)
            with self.ledger.session() as session:
                session.add(self.row)
                session.flush()
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

    def except_message(self, uid: int, kind: str) -> None:
        """Leave this message to the careful copy from now on."""
        with self.lock, self.ledger.session() as session:
            mailboxes.set_exception(session, self.row.id, uid, kind)
            self.exceptions[uid] = (kind, self.exceptions.get(uid, ("", 0))[1] + 1)

    def clear_exceptions(self, uids: list[int]) -> None:
        """These messages have arrived or are gone."""
        known = [uid for uid in uids if uid in self.exceptions]
        if known:
            with self.lock, self.ledger.session() as session:
                mailboxes.clear_exceptions(session, self.row.id, known)
                for uid in known:
                    del self.exceptions[uid]


def name_hash(raw: bytes) -> str:
    """The key of a folder in the ledger: its name as the old server writes it."""
    return hashlib.sha256(raw).hexdigest()

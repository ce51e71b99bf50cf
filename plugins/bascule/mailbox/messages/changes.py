"""What has changed in one folder since the last pass, on either side, asked for with as little as the servers allow."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from bascule.mailbox.columns import in_order
from bascule.mailbox.imap.fetch import begin_attributes, begin_flags, list_uids
from bascule.mailbox.imap.flags import Flags
from bascule.mailbox.imap.folders import FolderStatus
from bascule.mailbox.imap.listing import FlagUpdates, Listing, Selection
from bascule.mailbox.imap.session import Pending, Session
from bascule.mailbox.imap.syntax import set_between
from bascule.mailbox.state.folder import FolderState, last_on_new, last_on_old
from bascule.text.logs import get_logger

log = get_logger(__name__)


@dataclass
class SideChanges:
    """One side of a folder: what the server said first, and what differs from what the ledger remembers.

    `unmapped`: messages that the map does not know. `flags`: by UID of this side. `vanished`: UIDs that are gone.
    `unremembered`: those that the map knows and whose flags nobody has remembered, since their copy was interrupted.
    `unlisted`: how many more messages the server says to have than it lists.
    """

    status: FolderStatus
    unmapped: Selection = field(default_factory=Selection)
    unremembered: Selection = field(default_factory=Selection)
    flags: dict[int, Flags] = field(default_factory=dict)
    vanished: list[int] = field(default_factory=list)
    unlisted: int = 0


@dataclass(frozen=True)
class Changes:
    """Both sides of a folder."""

    old: SideChanges
    new: SideChanges


class SideQuery:
    """Asks one side what has changed; `begin` sends everything at once, `finish` reads it.

    `in_full`: compare every message with what is remembered, and not only what the server says has changed.
    """

    def __init__(self, session: Session, folder: FolderState, *, is_old: bool, in_full: bool = False) -> None:
        self.session, self.folder, self.is_old = session, folder, is_old
        self.before = last_on_old(folder.row) if is_old else last_on_new(folder.row)
        self.full = in_full or not folder.row.finished or self.before.uidnext == 0
        self._name = folder.old.encoded if is_old else folder.new_encoded
        self._modseq = self.before.modseq if session.capabilities.modseq else 0
        self._listing, self._updates = Listing(), FlagUpdates()
        self._asked: list[Pending] = []

    def begin(self) -> None:
        """Select for reading, and ask."""
        self._select = self.session.begin_select(self._name)
        first = 1 if self.full else self.before.uidnext
        uids = set_between(first, None, self.folder.unlistable() if self.is_old else ())
        self._asked.append(begin_attributes(self.session, uids, self._listing, self._updates))
        if not self.full and first > 1:
            known = set_between(1, first - 1)
            self._asked.append(begin_flags(self.session, known, self._updates, self._listing, since=self._modseq))
        self.session.wire.flush()

    def finish(self) -> SideChanges | None:
        """None when UIDs have lost their meaning: what is remembered says nothing of these messages. Raises Refused."""
        selected = self.session.finish_select(self._select, self._name)
        for pending in self._asked:
            self.session.finish(pending)
        if self._uids_mean_others(selected.status):
            return None
        changes = SideChanges(selected.status)
        if not self.full and self._modseq and self._contradicts(selected.status):
            self._ask_all()
        if self.full:
            changes.unlisted = self._unlisted(selected.status.messages)
            self._compare_all(changes)
        else:
            self._take_told(changes)
        return changes

    def _uids_mean_others(self, now: FolderStatus) -> bool:
        """Another UIDVALIDITY, or a UIDNEXT that has gone down, which a server must not do (RFC 9051 2.3.1.1)."""
        if not self.before.uidvalidity:
            return False
        return now.uidvalidity != self.before.uidvalidity or 0 < now.uidnext < self.before.uidnext

    def _contradicts(self, now: FolderStatus) -> bool:
        """HIGHESTMODSEQ has gone down, or stayed although something has happened (RFC 7162 3.1): it proves nothing."""
        happened = (now.uidnext, now.messages) != (self.before.uidnext, self.before.messages)
        return now.modseq < self._modseq or (now.modseq == self._modseq and happened)

    def _ask_all(self) -> None:
        log.warning("the server's MODSEQ does not fit: the whole folder is looked at", folder=self.folder.name)
        self.full, self.folder.distrusted = True, True
        self._list_all()

    def _list_all(self) -> None:
        self._listing, self._updates = Listing(), FlagUpdates()
        uids = set_between(1, None, self.folder.unlistable() if self.is_old else ())
        self.session.finish(begin_attributes(self.session, uids, self._listing, self._updates))

    def _unlisted(self, messages: int) -> int:
        """How many the server counts and does not list, also when it is asked once more: perhaps some were removed."""
        avoided = len(self.folder.unlistable()) if self.is_old else 0
        if messages - avoided <= len(self._listing):
            return 0
        now = self.session.select(self._name).status
        self._list_all()
        return max(0, now.messages - avoided - len(set(self._listing.uids)))

    def _compare_all(self, changes: SideChanges) -> None:
        listing = self._listing
        if not len(self.folder.map):
            changes.unmapped = listing.all()
            return
        changes.unmapped = listing.select(lambda uid: not self._maps(uid))
        unremembered = array("I")
        for i, uid in enumerate(listing.uids):
            old_uid = uid if self.is_old else self.folder.map.old_of(uid)
            if old_uid is None or old_uid not in self.folder.map:
                continue
            if not self.folder.memory.knows(old_uid):
                unremembered.append(i)
            elif (flags := listing.flags_at(i)) != self._remembered(uid):
                changes.flags[uid] = flags
        changes.unremembered = Selection(listing, unremembered)
        if not changes.unlisted:  # else nobody knows which of them are gone
            changes.vanished = self._mapped_but(listing.uids)

    def _remembered(self, uid: int) -> Flags | None:
        if self.is_old:
            return self.folder.memory.old(uid)
        old_uid = self.folder.map.old_of(uid)
        return None if old_uid is None else self.folder.memory.new(old_uid)

    def _take_told(self, changes: SideChanges) -> None:
        # `n:*` also returns the last message when there is none from n on (RFC 3501 6.4.8).
        first, uids = self.before.uidnext, self._listing.uids
        changes.unmapped = self._listing.select(lambda uid: uid >= first and not self._maps(uid))
        told = ((uid, flags) for uid, flags in self._updates.flags() if self._maps(uid))
        changes.flags = {uid: flags for uid, flags in told if flags != self._remembered(uid)}
        newer = sum(1 for uid in uids if uid >= first)
        if self._modseq and self.session.has("QRESYNC"):
            changes.vanished = [uid for a, b in self._updates.vanished for uid in self._mapped_between(a, b)]
        elif not self._modseq:
            changes.vanished = self._mapped_but(self._updates.uids, first)
        if self._modseq and changes.status.messages - newer != self.before.messages - len(changes.vanished):
            # The count says that others are gone, too (or nothing told which): ask which are there.
            changes.vanished = self._mapped_but(list_uids(self.session, set_between(1, first - 1)), first)

    def _maps(self, uid: int) -> bool:
        return uid in self.folder.map if self.is_old else self.folder.map.old_of(uid) is not None

    def _mapped_uids(self) -> Iterator[int]:
        return (old if self.is_old else new for old, new, _ in self.folder.map)

    def _mapped_but(self, present: "array[int]", below: int = 2**63) -> list[int]:
        """The mapped messages below this UID that are not present."""
        ordered = in_order(present)
        return [uid for uid in self._mapped_uids() if uid < below and not _contains(ordered, uid)]

    def _mapped_between(self, first: int, last: int) -> list[int]:
        if last - first < 1000:
            return [uid for uid in range(first, last + 1) if self._maps(uid)]
        return [uid for uid in self._mapped_uids() if first <= uid <= last]


def remember_interrupted(folder: FolderState, changes: Changes) -> None:
    """Remember the flags of messages that an interrupted copy brought to new.

    Most have the same on both sides, and of half a million nothing more is held. The others are changes of both sides,
    which are merged as when they first met.
    """
    old, new = changes.old, changes.new

    def same() -> Iterator[tuple[int, Flags, Flags]]:
        for message in old.unremembered:
            found = folder.map.find(message.uid)
            copy = new.unremembered.find(found[0]) if found else None
            if found is None or copy is None:
                continue  # gone from new, which is noted as a removal
            if message.flags == copy.flags:
                yield message.uid, message.flags, copy.flags
            else:
                old.flags[message.uid], new.flags[copy.uid] = message.flags, copy.flags

    folder.memory.remember_batch(same())


def _contains(ordered: "array[int]", uid: int) -> bool:
    at = bisect_left(ordered, uid)
    return at < len(ordered) and ordered[at] == uid

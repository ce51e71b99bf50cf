"""What has changed in one folder since the last pass, on either side, asked for with as little as the servers allow."""

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from bascule.mailbox.columns import in_order
from bascule.mailbox.errors import TransientError
from bascule.mailbox.flags import Flags
from bascule.mailbox.folders import FolderStatus
from bascule.mailbox.lanes import Lane
from bascule.mailbox.listing import ITEMS, Changes, Listing, Seen, Selection, write_set
from bascule.mailbox.session import Pending, Session
from bascule.mailbox.state import FolderState

UNLISTABLE = "unlistable"  # kind of exception: the server breaks off when it is asked for the message's size and date


@dataclass
class Look:
    """One side of a folder: what the server said first, and what differs from what the ledger remembers.

    `unmapped`: messages that the map does not know. `flags`: by UID of this side. `vanished`: UIDs that are gone.
    `unremembered`: those that the map knows and whose flags nobody has remembered, since their copy was interrupted.
    """

    status: FolderStatus
    unmapped: Selection = field(default_factory=Selection)
    unremembered: Selection = field(default_factory=Selection)
    flags: dict[int, Flags] = field(default_factory=dict)
    vanished: list[int] = field(default_factory=list)


def unchanged(folder: FolderState) -> bool:
    """Whether both servers say that nothing has happened since the last pass."""
    row, old, new = folder.row, folder.old.status, folder.new.status if folder.new else None
    if not row.finished or old is None or new is None or not (row.old_modseq and row.new_modseq):
        return False
    return (row.old_uidvalidity, row.old_uidnext, row.old_modseq, row.old_messages) == (
        old.uidvalidity, old.uidnext, old.modseq, old.messages,
    ) and (row.new_uidvalidity, row.new_uidnext, row.new_modseq, row.new_messages) == (
        new.uidvalidity, new.uidnext, new.modseq, new.messages,
    )  # fmt: skip


class SideLook:
    """Looks at one side; `begin` sends everything at once, `finish` reads it."""

    def __init__(self, session: Session, folder: FolderState, *, is_old: bool) -> None:
        row = folder.row
        self.session, self.folder, self.is_old = session, folder, is_old
        self.raw = folder.old.raw if is_old else folder.new_raw
        self.uidvalidity = row.old_uidvalidity if is_old else row.new_uidvalidity
        self.uidnext = row.old_uidnext if is_old else row.new_uidnext
        self.modseq = (row.old_modseq if is_old else row.new_modseq) if session.keeps_modseq else 0
        self.messages = row.old_messages if is_old else row.new_messages
        self.full = not row.finished or self.uidnext == 0
        self.listing, self.changes = Listing(), Changes()
        self._asked: list[Pending] = []

    def begin(self) -> None:
        """Select for reading, and ask."""
        self._select = self.session.begin_select(self.raw)
        unlistable = [uid for uid, (kind, _) in self.folder.exceptions.items() if kind == UNLISTABLE and self.is_old]
        if self.full:
            self._ask(all_but(unlistable, 1), ITEMS)
            return
        self._ask(all_but(unlistable, self.uidnext), ITEMS)
        if self.uidnext > 1:
            known = b"1:%d" % (self.uidnext - 1)
            if self.modseq:
                vanished = b" VANISHED)" if self.session.has("QRESYNC") else b")"
                self._ask(known, b"(FLAGS) (CHANGEDSINCE %d%s" % (self.modseq, vanished))
            else:
                self._ask(known, b"(FLAGS)")

    def _ask(self, uids: bytes, items: bytes) -> None:
        handler = self.listing.handler(self.session.wire, self.changes)
        self._asked.append(self.session.begin(b"UID FETCH", uids, items, handler=handler))

    def finish(self) -> Look | None:
        """None when UIDVALIDITY has changed: the caller forgets the map and looks again. Raises Refused."""
        selected = self.session.finish_select(self._select, self.raw)
        for pending in self._asked:
            self.session.finish(pending)
        if self.uidvalidity and selected.uidvalidity != self.uidvalidity:
            return None
        status = FolderStatus(selected.messages, selected.uidnext, selected.uidvalidity, selected.modseq)
        look = Look(status)
        if self.full:
            self._full(look)
        else:
            self._delta(look)
        return look

    def _full(self, look: Look) -> None:
        look.unmapped = self.listing.select(lambda uid: not self._maps(uid))
        if not len(self.folder.map):
            return
        unremembered = array("I")
        for i, uid in enumerate(self.listing.uids):
            old_uid = uid if self.is_old else self.folder.map.old_of(uid)
            if old_uid is None or old_uid not in self.folder.map:
                continue
            if not self.folder.memory.knows(old_uid):
                unremembered.append(i)
            elif (flags := self.listing.flags_at(i)) != self._remembered(uid):
                look.flags[uid] = flags
        look.unremembered = Selection(self.listing, unremembered)
        look.vanished = self._mapped_but(self.listing.uids)

    def _remembered(self, uid: int) -> Flags | None:
        if self.is_old:
            return self.folder.memory.old(uid)
        old_uid = self.folder.map.old_of(uid)
        return None if old_uid is None else self.folder.memory.new(old_uid)

    def _delta(self, look: Look) -> None:
        # `n:*` also returns the last message when there is none from n on (RFC 3501 6.4.8).
        look.unmapped = self.listing.select(lambda uid: uid >= self.uidnext and not self._maps(uid))
        told = ((uid, flags) for uid, flags in self.changes.flags() if self._maps(uid))
        look.flags = {uid: flags for uid, flags in told if flags != self._remembered(uid)}
        newer = sum(1 for uid in self.listing.uids if uid >= self.uidnext)
        if self.modseq and self.session.has("QRESYNC"):
            gone = self.changes.vanished
            look.vanished = [uid for a, b in gone for uid in self._mapped_between(a, b)]
        elif not self.modseq:
            look.vanished = self._mapped_but(self.changes.uids, self.uidnext)
        elif look.status.messages - newer != self.messages:
            look.vanished = self._compare_uids()

    def _compare_uids(self) -> list[int]:
        """CONDSTORE without QRESYNC: the count says that messages are gone, so ask which are there."""
        there = Changes()
        known = b"1:%d" % (self.uidnext - 1)
        handler = Listing().handler(self.session.wire, there)
        self.session.run(b"UID FETCH", known, b"(FLAGS)", handler=handler)
        return self._mapped_but(there.uids, self.uidnext)

    def _maps(self, uid: int) -> bool:
        return uid in self.folder.map if self.is_old else self.folder.map.old_of(uid) is not None

    def _mapped_uids(self) -> Iterator[int]:
        return (old if self.is_old else new for old, new, _ in self.folder.map)

    def _mapped_but(self, there: "array[int]", below: int = 2**63) -> list[int]:
        """The mapped messages below this UID that are not there."""
        ordered = in_order(there)
        return [uid for uid in self._mapped_uids() if uid < below and not _contains(ordered, uid)]

    def _mapped_between(self, first: int, last: int) -> list[int]:
        if last - first < 1000:
            return [uid for uid in range(first, last + 1) if self._maps(uid)]
        return [uid for uid in self._mapped_uids() if first <= uid <= last]


def meet(folder: FolderState, old: Look, new: Look) -> None:
    """Remember the flags of messages that an interrupted copy brought to new.

    Most have the same on both sides, and of half a million nothing more is held. The others are changes of both sides,
    which are merged as at a first meeting.
    """

    def same() -> Iterator[tuple[int, Flags, Flags]]:
        for seen in old.unremembered:
            found = folder.map.find(seen.uid)
            there = new.unremembered.find(found[0]) if found else None
            if found is None or there is None:
                continue  # gone from new, which is noted as a removal
            if seen.flags == there.flags:
                yield seen.uid, seen.flags, there.flags
            else:
                old.flags[seen.uid], new.flags[there.uid] = seen.flags, there.flags

    folder.memory.remember_batch(same())


def _contains(ordered: "array[int]", uid: int) -> bool:
    at = bisect_left(ordered, uid)
    return at < len(ordered) and ordered[at] == uid


def all_but(uids: list[int], first: int) -> bytes:
    """The set of all UIDs from `first` on, without these."""
    parts = []
    for uid in sorted(uid for uid in uids if uid >= first):
        if uid > first:
            parts.append(b"%d:%d" % (first, uid - 1))
        first = uid + 1
    return b",".join([*parts, b"%d:*" % first])


def span(uids: list[int], avoided: Collection[int]) -> bytes:
    """The set from the first to the last of these UIDs, without the avoided ones: short however many there are."""
    first, last = min(uids), max(uids)
    parts = []
    for uid in sorted(uid for uid in avoided if first <= uid <= last):
        if uid > first:
            parts.append(b"%d:%d" % (first, uid - 1))
        first = uid + 1
    return b",".join([*parts, b"%d:%d" % (first, last)])


def find_unlistable(lane: Lane, raw: bytes, first: int) -> list[int]:
    """The messages at which the old server breaks off when it is only asked for their size and date.

    Costs a connection for every bad message and halving.
    """
    there = Changes()
    lane.old.select(raw)
    handler = Listing().handler(lane.old.wire, there)
    lane.old.run(b"UID FETCH", b"%d:*" % first, b"(FLAGS)", handler=handler)
    waiting, bad = [sorted(set(there.uids))], []
    while waiting:
        uids = waiting.pop()
        try:
            list_messages(lane.old, raw, uids)
        except TransientError:
            if not lane.old_lost:
                raise
            middle = len(uids) // 2
            if middle:
                waiting += [uids[:middle], uids[middle:]]
            else:
                bad += uids
    return bad


def list_messages(session: Session, raw: bytes, uids: list[int]) -> list[Seen]:
    """These messages, as far as they are still there."""
    if not uids:
        return []
    listing = Listing()
    session.ensure_selected(raw)
    session.run(b"UID FETCH", write_set(uids), ITEMS, handler=listing.handler(session.wire))
    return list(listing)

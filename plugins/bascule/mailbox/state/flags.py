"""The flags of a whole folder on both sides, as a pass left them, in few bytes."""

import json
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

from bascule.mailbox.columns import ascending
from bascule.mailbox.imap.flags import Flags, FlagTable, clean


class Memory:
    """The flags of both sides as a pass left them, by old UID; packed, a message costs a few bits.

    `new` is GONE for a message that its user removed from new. Entries that `remember` adds are found after `settle`.
    """

    GONE = 0xFFFFFFFF

    def __init__(self, *pieces: bytes) -> None:
        """`pieces`: packed; where two speak of one message, the later one counts."""
        self.table = FlagTable()
        self._uids, self._old, self._new = array("I"), array("I"), array("I")
        self._batches = array("I")  # where batches begin
        self._sorted = 0  # so many are sorted: the rest is found after `settle`
        for piece in pieces:
            self._load(piece)
        self.settle()
        self.changed = False  # since it was loaded

    def _load(self, packed: bytes) -> None:
        text = zlib.decompress(packed)
        body = text.index(b"\n") + 1
        described = json.loads(text[:body])
        size = described["count"] * 4
        uids, old, new = (
            array("I", memoryview(text)[body + n * size : body + (n + 1) * size].cast("I")) for n in range(3)
        )
        sets = [clean(flag.encode("latin-1") for flag in flags) for flags in described["sets"]]
        if not self._uids:
            self.table = FlagTable(sets)
            self._uids, self._old, self._new, self._sorted = uids, old, new, len(uids)
            return
        self._batches.append(len(self._uids))
        for uid, on_old, on_new in zip(uids, old, new, strict=True):
            self.remember(uid, sets[on_old], None if on_new == self.GONE else sets[on_new])

    def settle(self) -> None:
        """Let readers find what was added."""
        if self._sorted == len(self._uids):
            return
        order = array("I", ascending(self._uids, self._batches))
        self._uids, self._old, self._new = (
            array("I", map(column.__getitem__, order)) for column in (self._uids, self._old, self._new)
        )
        self._sorted, self._batches = len(order), array("I")

    def pack(self, keep: Callable[[int], bool]) -> bytes:
        """For the ledger: sorted, only the UIDs that `keep` wants."""
        kept = array("I", (i for i in ascending(self._uids, self._batches) if keep(self._uids[i])))
        sets = [sorted(flag.decode("latin-1") for flag in flags) for flags in self.table.sets]
        packer = zlib.compressobj(1)
        packed = [packer.compress(json.dumps({"sets": sets, "count": len(kept)}).encode() + b"\n")]
        for column in (self._uids, self._old, self._new):
            packed.append(packer.compress(array("I", map(column.__getitem__, kept)).tobytes()))
        return b"".join([*packed, packer.flush()])

    def remember_batch(self, batch: Iterable[tuple[int, Flags, Flags]]) -> None:
        """(UID, flags on old, flags on new) of messages by ascending UID."""
        self._batches.append(len(self._uids))
        for uid, old, new in batch:
            self.remember(uid, old, new)

    def remember(self, uid: int, old: Flags, new: Flags | None) -> None:
        """What both sides have now; None: gone from new."""
        self.changed = True
        at = self._index(uid)
        numbers = self.table.number(old), self.GONE if new is None else self.table.number(new)
        if at is None:
            self._uids.append(uid)
            self._old.append(numbers[0])
            self._new.append(numbers[1])
        else:
            self._old[at], self._new[at] = numbers

    def knows(self, uid: int) -> bool:
        """Whether anything is remembered of the message."""
        return self._index(uid) is not None

    def old(self, uid: int) -> Flags | None:
        """The old side's flags, or None when the message is not known."""
        at = self._index(uid)
        return None if at is None else self.table.sets[self._old[at]]

    def new(self, uid: int) -> Flags | None:
        """The new side's flags, or None when the message is not known or gone."""
        at = self._index(uid)
        return None if at is None or self._new[at] == self.GONE else self.table.sets[self._new[at]]

    def gone(self, uid: int) -> bool:
        """Whether the user removed this message from new."""
        at = self._index(uid)
        return at is not None and self._new[at] == self.GONE

    def _index(self, uid: int) -> int | None:
        at = bisect_left(self._uids, uid, 0, self._sorted)
        return at if at < self._sorted and self._uids[at] == uid else None


def packed(batch: Sequence[tuple[int, Flags, Flags]]) -> bytes:
    """The flags of some messages (UID, flags on old, flags on new), as a piece for a Memory."""
    memory = Memory()
    memory.remember_batch(sorted(batch, key=lambda entry: entry[0]))
    return memory.pack(lambda uid: True)

"""Flags: which may stand in a command, and how those of a whole folder are kept in few bytes."""

import json
import re
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from bascule.mailbox.columns import ascending

SYSTEM = {flag.lower(): flag for flag in (b"\\Seen", b"\\Answered", b"\\Flagged", b"\\Deleted", b"\\Draft")}
# Keywords that may stand before a non-synchronising literal: a BAD there would let the server read the message's
# text as commands, so that only what no server stumbles over is sent (see docs/engine.md, security).
_SAFE_KEYWORD = re.compile(rb"[A-Za-z0-9$_.+:=-]{1,50}")
_ATOM = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\]{1,255}")

Flags = frozenset[bytes]
NONE: Flags = frozenset()


class FlagTable:
    """Every set of flags that occurs, by a small number: folders have few different ones."""

    def __init__(self) -> None:
        self.sets: list[Flags] = [NONE]
        self._numbers: dict[Flags, int] = {NONE: 0}
        self._texts: dict[bytes, int] = {b"": 0}

    def number(self, flags: Flags) -> int:
        if flags not in self._numbers:
            self._numbers[flags] = len(self.sets)
            self.sets.append(flags)
        return self._numbers[flags]

    def number_of_text(self, text: bytes) -> int:
        """The number of what stands between the parentheses of FLAGS (...)."""
        number = self._texts.get(text)
        if number is None:
            number = self.number(clean(text.split()))
            if len(self._texts) < 10_000:
                self._texts[text] = number
        return number


def clean(flags: list[bytes]) -> Flags:
    """Flags as they are compared: system flags in one spelling, without \\Recent, which belongs to sessions."""
    return frozenset(SYSTEM.get(flag.lower(), flag) for flag in flags if flag.lower() != b"\\recent")


@lru_cache(maxsize=1000)
def inline(flags: Flags) -> bytes:
    """Those that may stand in an APPEND before its literal, sorted, with spaces between."""
    return b" ".join(sorted(f for f in flags if f in SYSTEM.values() or _SAFE_KEYWORD.fullmatch(f)))


@lru_cache(maxsize=1000)
def afterwards(flags: Flags) -> Flags:
    """Those that are set by a STORE of their own after the message has arrived."""
    return frozenset(f for f in flags if f not in SYSTEM.values() and not _SAFE_KEYWORD.fullmatch(f))


def can_be_said(flag: bytes) -> bool:
    """Whether IMAP's grammar lets a client say this flag at all."""
    return flag in SYSTEM.values() or _ATOM.fullmatch(flag) is not None


class Memory:
    """The flags of both sides as a pass left them, by old UID; packed, a message costs a few bits.

    `new` is GONE for a message that its user removed from new. Entries that `remember` adds are found after a reload.
    """

    GONE = 0xFFFFFFFF

    def __init__(self, *pieces: bytes) -> None:
        """`pieces`: packed; where two speak of one message, the later one counts."""
        self.table = FlagTable()
        self._uids, self._old, self._new = array("I"), array("I"), array("I")
        self._batches = array("I")  # where batches begin
        self._sorted = 0  # so many are sorted: the rest is found after a reload
        for piece in pieces:
            self._load(piece)
        self._sort()
        self.changed = False  # since it was loaded

    def _load(self, packed: bytes) -> None:
        text = zlib.decompress(packed)
        body = text.index(b"\n") + 1
        described = json.loads(text[:body])
        size = described["count"] * 4
        uids, old, new = (
            array("I", memoryview(text)[body + n * size : body + (n + 1) * size].cast("I")) for n in range(3)
        )
        sets = [frozenset(flag.encode("latin-1") for flag in flags) for flags in described["sets"]]
        if not self._uids:
            for flags in sets:
                self.table.number(flags)
            self._uids, self._old, self._new, self._sorted = uids, old, new, len(uids)
            return
        self._batches.append(len(self._uids))
        for uid, on_old, on_new in zip(uids, old, new, strict=True):
            self.remember(uid, sets[on_old], None if on_new == self.GONE else sets[on_new])

    def _sort(self) -> None:
        if self._sorted == len(self._uids):
            return
        order = array("I", ascending(self._uids, self._batches))
        self._uids, self._old, self._new = (
            array("I", (column[i] for i in order)) for column in (self._uids, self._old, self._new)
        )
        self._sorted, self._batches = len(order), array("I")

    def pack(self, keep: Callable[[int], bool]) -> bytes:
        """For the ledger: sorted, only the UIDs that `keep` wants."""
        kept = array("I", (i for i in ascending(self._uids, self._batches) if keep(self._uids[i])))
        sets = [sorted(flag.decode("latin-1") for flag in flags) for flags in self.table.sets]
        packer = zlib.compressobj(1)
        packed = [packer.compress(json.dumps({"sets": sets, "count": len(kept)}).encode() + b"\n")]
        for column in (self._uids, self._old, self._new):
            packed.append(packer.compress(array("I", (column[i] for i in kept)).tobytes()))
        return b"".join([*packed, packer.flush()])

    def remember_batch(self, seen: Iterable[tuple[int, Flags, Flags]]) -> None:
        """(UID, flags on old, flags on new) of messages by ascending UID."""
        self._batches.append(len(self._uids))
        for uid, old, new in seen:
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

"""Flags: which may stand in a command, and how those of a whole folder are kept in few bytes."""

import json
import re
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable
from itertools import pairwise

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


def inline(flags: Flags) -> bytes:
    """Those that may stand in an APPEND before its literal, sorted, with spaces between."""
    return b" ".join(sorted(f for f in flags if f in SYSTEM.values() or _SAFE_KEYWORD.fullmatch(f)))


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

    def __init__(self, packed: bytes | None = None) -> None:
        self.table = FlagTable()
        self._uids, self._old, self._new = array("I"), array("I"), array("I")
        if packed:
            self._load(packed)
        self._sorted = len(self._uids)

    def _load(self, packed: bytes) -> None:
        head, _, body = zlib.decompress(packed).partition(b"\n")
        described = json.loads(head)
        for flags in described["sets"]:
            self.table.number(frozenset(flag.encode("latin-1") for flag in flags))
        size = described["count"] * 4
        for position, column in enumerate((self._uids, self._old, self._new)):
            column.frombytes(body[position * size : (position + 1) * size])

    def pack(self, keep: Callable[[int], bool]) -> bytes:
        """For the ledger: sorted, only the UIDs that `keep` wants."""
        kept = array("I")
        for first, end in self._ascending_parts():
            kept.extend(i for i in range(first, end) if keep(self._uids[i]))
        sets = [sorted(flag.decode("latin-1") for flag in flags) for flags in self.table.sets]
        packer = zlib.compressobj(1)
        packed = [packer.compress(json.dumps({"sets": sets, "count": len(kept)}).encode() + b"\n")]
        for column in (self._uids, self._old, self._new):
            packed.append(packer.compress(array("I", (column[i] for i in kept)).tobytes()))
        return b"".join([*packed, packer.flush()])

    def _ascending_parts(self) -> list[tuple[int, int]]:
        """Where the UIDs ascend, ordered by them.

        Lanes add batches that don't overlap, so that half a million numbers need no sorting, which would cost 40 MB.
        """
        uids = self._uids
        cuts = [0, *(i for i in range(1, len(uids)) if uids[i] < uids[i - 1]), len(uids)]
        parts = sorted(((a, b) for a, b in pairwise(cuts) if a < b), key=lambda part: uids[part[0]])
        if all(uids[one[1] - 1] < uids[other[0]] for one, other in pairwise(parts)):
            return parts
        return [(i, i + 1) for i in sorted(range(len(uids)), key=uids.__getitem__)]

    def remember(self, uid: int, old: Flags, new: Flags | None) -> None:
        """What both sides have now; None: gone from new."""
        at = self._index(uid)
        numbers = self.table.number(old), self.GONE if new is None else self.table.number(new)
        if at is None:
            self._uids.append(uid)
            self._old.append(numbers[0])
            self._new.append(numbers[1])
        else:
            self._old[at], self._new[at] = numbers

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

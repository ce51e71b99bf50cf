"""What a server says of the messages of a folder (UID, flags, date, size), held in a few bytes each."""

import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from bascule.mailbox import dates
from bascule.mailbox.columns import ascending
from bascule.mailbox.flags import Flags, FlagTable, clean
from bascule.mailbox.parse import read_response
from bascule.mailbox.wire import Wire

ITEMS = b"(UID FLAGS INTERNALDATE RFC822.SIZE)"

# The order in which most servers answer; anything else takes the slow way.
_USUAL = re.compile(
    rb'\* \d+ FETCH \(UID (\d+) FLAGS \(([^()"{]*)\) INTERNALDATE "([^"]*)" '
    rb"RFC822\.SIZE (\d+)(?: MODSEQ \(\d+\))?\)\r\n"
)
_USUAL_FLAGS = re.compile(rb'\* \d+ FETCH \(UID (\d+) FLAGS \(([^()"{]*)\)(?: MODSEQ \(\d+\))?\)\r\n')


@dataclass(frozen=True, slots=True)
class Seen:
    """One message as a server lists it. `date` in seconds since 1970, `size` in bytes."""

    uid: int
    flags: Flags
    date: int
    size: int


class Listing:
    """The messages of a folder, in the server's order."""

    def __init__(self) -> None:
        self.table = FlagTable()
        self.uids, self.sizes = array("I"), array("I")
        self._dates, self._flags = array("i"), array("H")

    def __len__(self) -> int:
        return len(self.uids)

    def __iter__(self) -> Iterator[Seen]:
        return (self.at(i) for i in range(len(self.uids)))

    def at(self, i: int) -> Seen:
        return Seen(self.uids[i], self.flags_at(i), self._dates[i], self.sizes[i])

    def flags_at(self, i: int) -> Flags:
        return self.table.sets[self._flags[i]]

    def select(self, wanted: Callable[[int], bool]) -> "Selection":
        """The messages whose UID is wanted."""
        return Selection(self, array("I", (i for i, uid in enumerate(self.uids) if wanted(uid))))

    def handler(self, wire: Wire, changes: "Changes | None" = None) -> Callable[[bytes], None]:
        """What a session calls for each line of the FETCH of ITEMS.

        `changes` takes what comes without a size: servers mix the answers of commands that were sent together.
        """

        def handle(line: bytes) -> None:
            found = _USUAL.fullmatch(line)
            if found:
                self._add(int(found[1]), self.table.number_of_text(found[2]), dates.parse(found[3]), int(found[4]))
            elif changes is None or not changes.take_usual(line):
                self._take(read_response(wire, line), changes)

        return handle

    def _take(self, values: list[Any], changes: "Changes | None") -> None:
        items = fetch_items(values)
        if items and b"UID" in items and b"RFC822.SIZE" in items:
            flags = self.table.number(clean(items.get(b"FLAGS") or []))
            date = dates.parse(items.get(b"INTERNALDATE") or b"")
            self._add(int(items[b"UID"]), flags, date, int(items[b"RFC822.SIZE"]))
        elif changes is not None:
            changes.take(values)

    def _add(self, uid: int, flags: int, date: int, size: int) -> None:
        try:
            self._flags.append(flags)
            self._dates.append(date)
            self.sizes.append(size)
        except OverflowError:
            self._widen(len(self.uids))
            self._flags.append(flags)
            self._dates.append(date)
            self.sizes.append(size)
        self.uids.append(uid)

    def _widen(self, count: int) -> None:
        """A message of 4 GB, a date after 2038, or the 65,537th set of flags: the columns get room for such numbers."""
        self._flags = array("I", self._flags[:count])
        self._dates = array("q", self._dates[:count])
        self.sizes = array("Q", self.sizes[:count])


class Selection(Sequence[Seen]):
    """Some messages of a listing; each is made when it is looked at, so that half a million cost a few bytes each."""

    def __init__(self, listing: Listing | None = None, indexes: "array[int] | None" = None) -> None:
        self.listing = listing or Listing()
        self.indexes = indexes if indexes is not None else array("I")
        self._by_uid: array[int] | None = None  # indexes in the order of their UIDs, for `find`

    def __len__(self) -> int:
        return len(self.indexes)

    @overload
    def __getitem__(self, i: int) -> Seen: ...

    @overload
    def __getitem__(self, i: slice) -> "Selection": ...

    def __getitem__(self, i: int | slice) -> "Seen | Selection":
        if isinstance(i, slice):
            return Selection(self.listing, self.indexes[i])
        return self.listing.at(self.indexes[i])

    def __iter__(self) -> Iterator[Seen]:
        return map(self.listing.at, self.indexes)

    def without(self, uids: Collection[int]) -> "Selection":
        """The same without these UIDs."""
        if not uids:
            return self
        return Selection(self.listing, array("I", (i for i in self.indexes if self.listing.uids[i] not in uids)))

    def find(self, uid: int) -> Seen | None:
        """The message of this UID, if it is one of them."""
        uids = self.listing.uids
        if self._by_uid is None:
            keys = array("I", self.uids())
            self._by_uid = array("I", (self.indexes[i] for i in ascending(keys)))
        at = bisect_left(self._by_uid, uid, key=uids.__getitem__)
        found = at < len(self._by_uid) and uids[self._by_uid[at]] == uid
        return self.listing.at(self._by_uid[at]) if found else None

    def octets(self) -> int:
        """Their sizes together."""
        return sum(self.listing.sizes[i] for i in self.indexes)

    def uids(self) -> Iterator[int]:
        return (self.listing.uids[i] for i in self.indexes)


class Changes:
    """Flags that a server says have changed, and the UIDs that it says have vanished (RFC 7162).

    A server without CONDSTORE tells all flags of a folder: they are kept in columns.
    """

    def __init__(self) -> None:
        self.uids = array("I")
        self.vanished: list[tuple[int, int]] = []
        self._table, self._flags = FlagTable(), array("I")

    def flags(self) -> Iterator[tuple[int, Flags]]:
        """(UID, flags), in the server's order; of a message that it named twice, the last one counts."""
        return ((uid, self._table.sets[number]) for uid, number in zip(self.uids, self._flags, strict=True))

    def take_usual(self, line: bytes) -> bool:
        """Take a line of the usual form; False when it has another."""
        found = _USUAL_FLAGS.fullmatch(line)
        if found:
            self.uids.append(int(found[1]))
            self._flags.append(self._table.number_of_text(found[2]))
        return found is not None

    def take(self, values: list[Any]) -> None:
        """Take a response in whatever form."""
        if len(values) > 2 and isinstance(values[1], bytes) and values[1].upper() == b"VANISHED":
            self.vanished += parse_set(values[-1])
            return
        items = fetch_items(values)
        if items and b"UID" in items and b"FLAGS" in items:
            self.uids.append(int(items[b"UID"]))
            self._flags.append(self._table.number(clean(items[b"FLAGS"] or [])))


def fetch_items(values: list[Any]) -> dict[bytes, Any] | None:
    """The items of `* n FETCH (...)` by name, in whatever order; None when it is another response."""
    if len(values) != 4 or not isinstance(values[2], bytes) or values[2].upper() != b"FETCH":
        return None
    pairs = values[3]
    return {pairs[i].upper(): pairs[i + 1] for i in range(0, len(pairs) - 1, 2) if isinstance(pairs[i], bytes)}


def parse_set(text: bytes) -> list[tuple[int, int]]:
    """A set of UIDs, as (first, last) pairs in the order written."""
    found = []
    for part in text.split(b","):
        first, _, last = part.partition(b":")
        a, b = int(first), int(last or first)
        found.append((min(a, b), max(a, b)))
    return found


def write_set(uids: Iterable[int]) -> bytes:
    """UIDs as a set, runs shortened."""
    parts: list[bytes] = []
    first, last = 0, -1
    for uid in sorted(uids):
        if uid == last + 1 and parts:
            last = uid
            parts[-1] = b"%d:%d" % (first, last)
        else:
            first = last = uid
            parts.append(b"%d" % uid)
    return b",".join(parts)

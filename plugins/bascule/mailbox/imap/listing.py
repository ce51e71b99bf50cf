"""What a server says of the messages of a folder (UID, flags, date, size), held in a few bytes each."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from bascule.mailbox.columns import ascending
from bascule.mailbox.imap import internaldate
from bascule.mailbox.imap.errors import ProtocolError
from bascule.mailbox.imap.flags import Flags, FlagTable
from bascule.mailbox.imap.syntax import parse_set

MOST_UID = 2**32 - 1  # RFC 9051 section 2.3.1.1
MOST_RANGES = 2_000_000  # of vanished UIDs that are held of one folder


@dataclass(frozen=True, slots=True)
class Listed:
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
        self.has_unknown_dates = False
        self.has_unsafe_dates = False  # of which servers are known to store others

    def __len__(self) -> int:
        return len(self.uids)

    def __iter__(self) -> Iterator[Listed]:
        return (self.at(i) for i in range(len(self.uids)))

    def at(self, i: int) -> Listed:
        return Listed(self.uids[i], self.flags_at(i), self._dates[i], self.sizes[i])

    def flags_at(self, i: int) -> Flags:
        return self.table.sets[self._flags[i]]

    def set_dates(self, dates: Mapping[int, int]) -> None:
        """By UID, of messages whose date can't be read."""
        self._dates = array("q", self._dates)
        for i, uid in enumerate(self.uids):
            if uid in dates:
                self._dates[i] = dates[uid]

    def all(self) -> "Selection":
        return Selection(self, array("I", range(len(self))))

    def select(self, wanted: Callable[[int], bool]) -> "Selection":
        """The messages whose UID is wanted."""
        return Selection(self, array("I", (i for i, uid in enumerate(self.uids) if wanted(uid))))

    def add(self, uid: int, flags: int, date: int, size: int) -> None:
        """`flags` by their number in the table. What has no UID that can be one is no message."""
        if not 0 < uid <= MOST_UID:
            return
        if date not in internaldate.SAFE:
            self.has_unsafe_dates = True
            self.has_unknown_dates = self.has_unknown_dates or date == internaldate.UNKNOWN
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

    def amend(self, i: int, flags: int | None, date: int | None, size: int | None) -> None:
        """More was told of this message; None: nothing of that."""
        before = self._flags[i], self._dates[i], self.sizes[i]
        told = [old if new is None else new for old, new in zip(before, (flags, date, size), strict=True)]
        self._widen(len(self))
        self._flags[i], self._dates[i], self.sizes[i] = told

    def _widen(self, count: int) -> None:
        """A message of 4 GB, a date after 2038, or the 65,537th set of flags: the columns get room for such numbers."""
        self._flags = array("I", self._flags[:count])
        self._dates = array("q", self._dates[:count])
        self.sizes = array("Q", self.sizes[:count])


class Selection(Sequence[Listed]):
    """Some messages of a listing; each is made when it is looked at, so that half a million cost a few bytes each."""

    def __init__(self, listing: Listing | None = None, indexes: "array[int] | None" = None) -> None:
        self.listing = listing or Listing()
        self.indexes = indexes if indexes is not None else array("I")
        self._by_uid: array[int] | None = None  # indexes in the order of their UIDs, for `find`

    def __len__(self) -> int:
        return len(self.indexes)

    @overload
    def __getitem__(self, i: int) -> Listed: ...

    @overload
    def __getitem__(self, i: slice) -> "Selection": ...

    def __getitem__(self, i: int | slice) -> "Listed | Selection":
        if isinstance(i, slice):
            return Selection(self.listing, self.indexes[i])
        return self.listing.at(self.indexes[i])

    def __iter__(self) -> Iterator[Listed]:
        return map(self.listing.at, self.indexes)

    def without(self, uids: Collection[int]) -> "Selection":
        """The same without these UIDs."""
        if not uids:
            return self
        return Selection(self.listing, array("I", (i for i in self.indexes if self.listing.uids[i] not in uids)))

    def where(self, wanted: Callable[[int, int], bool]) -> list[Listed]:
        """Those whose UID and size are wanted: the others are not made."""
        uids, sizes = self.listing.uids, self.listing.sizes
        return [self.listing.at(i) for i in self.indexes if wanted(uids[i], sizes[i])]

    def by_uid(self) -> "Selection":
        """The same by ascending UID."""
        keys = array("I", self.uids())
        return Selection(self.listing, array("I", (self.indexes[i] for i in ascending(keys))))

    def find(self, uid: int) -> Listed | None:
        """The message of this UID, if it is one of them."""
        uids = self.listing.uids
        if self._by_uid is None:
            self._by_uid = self.by_uid().indexes
        at = bisect_left(self._by_uid, uid, key=uids.__getitem__)
        found = at < len(self._by_uid) and uids[self._by_uid[at]] == uid
        return self.listing.at(self._by_uid[at]) if found else None

    def without_date(self) -> list[int]:
        """The UIDs of those whose date can't be read."""
        if not self.listing.has_unknown_dates:
            return []
        return [message.uid for message in self if message.date == internaldate.UNKNOWN]

    def octets(self) -> int:
        """Their sizes together."""
        return sum(map(self.listing.sizes.__getitem__, self.indexes))

    def uids(self) -> Iterator[int]:
        return map(self.listing.uids.__getitem__, self.indexes)


class RangeColumns:
    """Ranges of UIDs (first, last) in columns: a server may name a million of them."""

    def __init__(self) -> None:
        self._first, self._last = array("Q"), array("Q")

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._first, self._last, strict=True)

    def add(self, uids: bytes) -> None:
        """Those of a set as servers write it."""
        for first, last in parse_set(uids):
            self._first.append(first)
            self._last.append(last)
        if len(self._first) > MOST_RANGES:
            raise ProtocolError(f"a folder has more than {MOST_RANGES} ranges of vanished messages")


class FlagUpdates:
    """Flags that a server says have changed, and the UIDs that it says have vanished (RFC 7162).

    A server without CONDSTORE tells all flags of a folder: they are kept in columns.
    """

    def __init__(self) -> None:
        self.table = FlagTable()
        self.uids, self._flags = array("I"), array("I")
        self.vanished = RangeColumns()

    def add(self, uid: int, flags: int) -> None:
        """`flags` by their number in the table."""
        if 0 < uid <= MOST_UID:
            self.uids.append(uid)
            self._flags.append(flags)

    def flags(self) -> Iterator[tuple[int, Flags]]:
        """(UID, flags), in the server's order; of a message that it named twice, the last one counts."""
        return ((uid, self.table.sets[number]) for uid, number in zip(self.uids, self._flags, strict=True))

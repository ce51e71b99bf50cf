"""Which message of old is which of new, by nothing but what both servers give now.

A message is known by its octets (where they are compared), else by its header (Message-Id, From, Subject, Date), its
date and its size. What the copier has remembered is only a hint: it says which two to compare first, and of several
that are alike which to take for which.
"""

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from bascule.mailbox.imap.fetch import Identity, begin_attributes, begin_identities, identity
from bascule.mailbox.imap.listing import Listed, Listing
from bascule.mailbox.imap.syntax import set_between
from bascule.mailbox.messages.digests import Digest, digests
from bascule.mailbox.workers import Side

WINDOW = 1000  # messages asked about in one command, and compared at once: it bounds the memory
NO_HEADER = identity(b"").digest
NOT_GIVEN = Digest(b"", b"")

Key = Callable[["Contents", int], tuple[object, ...] | None]  # what a message is known by; None: by nothing


class Traits(NamedTuple):
    """What a message is known by. `octets` and `mail`: as in Digest, where they are compared; empty when not given."""

    header: bytes
    octets: bytes
    mail: bytes
    repaired: bytes  # the mark of one that Bascule has repaired


class Contents:
    """The messages of a folder on one side, by their place in the list, and what those are known by that were read.

    `octets`: whether they are compared. `without`: UIDs that must not even be listed.
    """

    def __init__(self, side: Side, *, octets: bool, without: Collection[int] = ()) -> None:
        self.side, self.octets = side, octets
        listing = Listing()
        status = side.session.select(side.name).status
        side.session.finish(begin_attributes(side.session, set_between(1, None, without), listing))
        self.listing = _by_uid(listing)
        self.unlisted = max(0, status.messages - len(without) - len(self.listing))  # that the server only counts
        self.traits: dict[int, Traits] = {}  # by place
        self._done = bytearray(len(self.listing))

    def __len__(self) -> int:
        return len(self.listing)

    def at(self, place: int) -> Listed:
        return self.listing.at(place)

    def place(self, uid: int) -> int | None:
        uids = self.listing.uids
        found = bisect_left(uids, uid)
        return found if found < len(uids) and uids[found] == uid and not self._done[found] else None

    def read(self, places: Collection[int]) -> None:
        """Ask the server what these messages are known by."""
        uids = {self.listing.uids[place]: place for place in places if place not in self.traits}
        if not uids:
            return
        headers: dict[int, Identity] = {}
        self.side.session.ensure_selected(self.side.name)
        self.side.session.finish(begin_identities(self.side.session, uids, headers))
        hashed = digests(self.side, list(uids)) if self.octets else {}
        for uid, place in uids.items():
            known = headers.get(uid, Identity(NO_HEADER))
            self.traits[place] = Traits(known.digest, *hashed.get(uid, NOT_GIVEN), known.repaired)

    def finish(self, place: int) -> None:
        """This message has been dealt with, and nothing more is held of it."""
        self._done[place] = True
        self.traits.pop(place, None)

    def left(self) -> Iterator[int]:
        """The places of those that have not been dealt with."""
        return (place for place, done in enumerate(self._done) if not done)

    def read_left(self) -> None:
        """All that have not been dealt with and were not read yet."""
        unread = array("I", (place for place in self.left() if place not in self.traits))
        for first in range(0, len(unread), WINDOW):
            self.read(unread[first : first + WINDOW])


def _by_uid(listing: Listing) -> Listing:
    """By ascending UID, without the second line for a message that a server has named twice."""
    if all(one < other for one, other in pairwise(listing.uids)):
        return listing
    once = Listing()
    for _, message in sorted({message.uid: message for message in listing}.items()):
        once.add(message.uid, once.table.number(message.flags), message.date, message.size)
    return once


def are_alike(old: Contents, one: int, new: Contents, other: int) -> bool:
    """Whether all that the two messages are known by is the same."""
    key = _mail_and_date if old.octets else _header_date_size
    mine = key(old, one)
    return mine is not None and mine == key(new, other)


class Pairing:
    """Of the messages that are left: which place of old is which of new, and what each side has alone.

    `hints`: (place on old, place on new). Those are paired first that are alike in most.
    """

    def __init__(self, old: Contents, new: Contents, hints: Iterable[tuple[int, int]]) -> None:
        self._old, self._new = old, new
        self.pairs: list[tuple[int, int]] = []
        self._free_old, self._free_new = dict.fromkeys(old.left()), dict.fromkeys(new.left())
        for key in _BY_OCTETS + _BY_HEADER if old.octets else _BY_HEADER:
            self._pair_by(key)
        self._pair_hinted(hints)
        self.absent, self.extra = list(self._free_old), list(self._free_new)

    def _pair_by(self, key: Key) -> None:
        free: dict[object, list[int]] = defaultdict(list)
        for place in reversed(self._free_new):
            free[key(self._new, place)].append(place)
        free.pop(None, None)
        for place in list(self._free_old):
            if candidates := free.get(key(self._old, place)):
                self._take(place, candidates.pop())

    def _pair_hinted(self, hints: Iterable[tuple[int, int]]) -> None:
        """Their headers are not alike, and nothing else has them."""
        for one, other in hints:
            free = one in self._free_old and other in self._free_new
            if free and _date_and_size(self._old, one) == _date_and_size(self._new, other):
                self._take(one, other)

    def _take(self, one: int, other: int) -> None:
        self.pairs.append((one, other))
        del self._free_old[one], self._free_new[other]


def _octets_and_date(contents: Contents, place: int) -> tuple[object, ...] | None:
    octets = contents.traits[place].octets
    return (octets, contents.at(place).date) if octets else None


def _octets(contents: Contents, place: int) -> tuple[object, ...] | None:
    octets = contents.traits[place].octets
    return (octets,) if octets else None


def _mail_and_date(contents: Contents, place: int) -> tuple[object, ...] | None:
    mail = contents.traits[place].mail
    return (mail, contents.at(place).date) if mail else None


def _mail(contents: Contents, place: int) -> tuple[object, ...] | None:
    mail = contents.traits[place].mail
    return (mail,) if mail else None


def _header_date_size(contents: Contents, place: int) -> tuple[object, ...] | None:
    message = contents.at(place)
    return contents.traits[place].header, message.date, message.size


def _header_and_size(contents: Contents, place: int) -> tuple[object, ...] | None:
    header = contents.traits[place].header
    return (header, contents.at(place).size) if header != NO_HEADER else None


def _header_and_date(contents: Contents, place: int) -> tuple[object, ...] | None:
    header = contents.traits[place].header
    return (header, contents.at(place).date) if header != NO_HEADER else None


def _header(contents: Contents, place: int) -> tuple[object, ...] | None:
    header = contents.traits[place].header
    return (header,) if header != NO_HEADER else None


def _date_and_size(contents: Contents, place: int) -> tuple[object, ...]:
    message = contents.at(place)
    return message.date, message.size


_BY_OCTETS: tuple[Key, ...] = (_octets_and_date, _octets, _mail_and_date, _mail)
_BY_HEADER: tuple[Key, ...] = (_header_date_size, _header_and_size, _header_and_date, _header)

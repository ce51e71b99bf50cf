"""UID FETCH (RFC 9051 sections 6.4.5 and 7.5.2): the only place that sends it, and the only reader of BODY[]."""

import hashlib
import re
from array import array
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from bascule.mailbox.imap import internaldate
from bascule.mailbox.imap.connection import LITERAL, Wire
from bascule.mailbox.imap.flags import NONE, Flags, clean
from bascule.mailbox.imap.listing import FlagUpdates, Listed, Listing, Selection
from bascule.mailbox.imap.responses import read_response, text, values, whole_number
from bascule.mailbox.imap.session import Handler, Pending, Session
from bascule.mailbox.imap.syntax import write_set

HEADER = b"(UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID FROM SUBJECT DATE)])"
DATE_AND_SIZE = b"(UID INTERNALDATE RFC822.SIZE)"
_ATTRIBUTES = b"(UID FLAGS INTERNALDATE RFC822.SIZE)"

# The order in which most servers answer; anything else takes the slow way.
_USUAL = re.compile(
    rb'\* \d+ FETCH \(UID (\d+) FLAGS \(([^()"{]*)\) INTERNALDATE "([^"]*)" '
    rb"RFC822\.SIZE (\d{1,18})(?: MODSEQ \(\d+\))?\)\r\n"
)
_USUAL_FLAGS = re.compile(rb'\* \d+ FETCH \(UID (\d+) FLAGS \(([^()"{]*)\)(?: MODSEQ \(\d+\))?\)\r\n')
_USUAL_BODY = re.compile(rb"\* \d+ FETCH \(UID (\d+) BODY\[\] \{(\d+)\}\r\n")
_FLAGS = re.compile(rb"(?i:FLAGS) \([^()]*\)")
_UID = re.compile(rb"[( ](?i:UID) (\d+)[ )]")


# -- flags, dates and sizes


def begin_attributes(session: Session, uids: bytes, listing: Listing, updates: FlagUpdates | None = None) -> Pending:
    """Ask for UID, flags, date and size of messages in the selected folder.

    `updates` takes what comes without a size: servers mix the answers of commands that were sent together.
    """
    return session.begin(b"UID FETCH", uids, _ATTRIBUTES, handler=attributes_into(session.wire, listing, updates))


def begin_flags(
    session: Session, uids: bytes, updates: FlagUpdates, listing: Listing | None = None, *, since: int = 0
) -> Pending:
    """Ask for flags; those that changed `since` a MODSEQ and the UIDs that vanished (RFC 7162), else (0) for all."""
    items = [b"(FLAGS)"]
    if since:
        items.append(b"(CHANGEDSINCE %d%s" % (since, b" VANISHED)" if session.has("QRESYNC") else b")"))
    handler = attributes_into(session.wire, listing or Listing(), updates)
    return session.begin(b"UID FETCH", uids, *items, handler=handler)


def list_from(session: Session, name: bytes, first: int = 1) -> Selection:
    """The messages of a folder as it is now, from this UID on."""
    listing = Listing()
    session.select(name)
    session.finish(begin_attributes(session, b"%d:*" % first, listing))
    return listing.select(lambda uid: uid >= first)  # `n:*` also names the last message when none is newer


def list_messages(session: Session, name: bytes, uids: Iterable[int]) -> list[Listed]:
    """These messages, as far as they are still there."""
    listing, wanted = Listing(), write_set(uids)
    if wanted:
        session.ensure_selected(name)
        session.finish(begin_attributes(session, wanted, listing))
    return list(listing)


def list_uids(session: Session, uids: bytes) -> "array[int]":
    """Which of these UIDs there are in the selected folder."""
    updates = FlagUpdates()
    session.finish(begin_flags(session, uids, updates))
    return updates.uids


def attributes_into(wire: Wire, listing: Listing, updates: FlagUpdates | None = None) -> Handler:
    """What a session calls for each line of the answer."""
    return _Attributes(wire, listing, updates).take_line


class _Attributes:
    """Takes responses in whatever form. What a server tells of one message in several ones belongs together."""

    def __init__(self, wire: Wire, listing: Listing, updates: FlagUpdates | None) -> None:
        self._wire, self._listing, self._updates = wire, listing, updates
        self._flags: tuple[int, Flags] = (0, NONE)  # UID and flags that were told last without date and size
        self._parts: dict[int, int] = {}  # UID -> place in the listing, of those of which not all was told together

    def take_line(self, line: bytes) -> None:
        if found := _USUAL.fullmatch(line):
            flags = self._listing.table.number_of_text(found[2])
            self._listing.add(int(found[1]), flags, internaldate.parse(found[3]), int(found[4]))
        elif self._updates is not None and (found := _USUAL_FLAGS.fullmatch(line)) and not self._parts:
            number = self._updates.table.number_of_text(found[2])
            self._updates.add(int(found[1]), number)
            self._flags = int(found[1]), self._updates.table.sets[number]
        else:
            self._take(read_response(self._wire, line))

    def _take(self, response: list[Any]) -> None:
        """A size that is none counts as 0, a date that is none as unknown."""
        items = fetch_items(response) or {}
        uid = whole_number(items.get(b"UID"))
        flags = None
        if b"FLAGS" in items:
            # An unquoted NIL is a keyword of that name.
            flags = clean(b"NIL" if flag is None else flag for flag in values(items[b"FLAGS"]))
        if uid and (b"RFC822.SIZE" in items or b"INTERNALDATE" in items or uid in self._parts):
            self._take_parts(uid, flags, items)
        elif uid and flags is not None:
            self._flags = uid, flags
        if self._updates is None or (uid and b"RFC822.SIZE" in items):
            return
        if len(response) > 2 and text(response[1]).upper() == b"VANISHED":
            self._updates.vanished.add(text(response[-1]))
        elif uid and flags is not None:
            self._updates.add(uid, self._updates.table.number(flags))

    def _take_parts(self, uid: int, flags: Flags | None, items: dict[bytes, Any]) -> None:
        listing = self._listing
        date = internaldate.parse(text(items[b"INTERNALDATE"])) if b"INTERNALDATE" in items else None
        size = whole_number(items[b"RFC822.SIZE"]) if b"RFC822.SIZE" in items else None
        place = self._parts.get(uid)
        if place is not None:
            listing.amend(place, None if flags is None else listing.table.number(flags), date, size)
            return
        known = flags if flags is not None else self._flags[1] if self._flags[0] == uid else NONE
        if date is None or size is None or flags is None:
            self._parts[uid] = len(listing)
        listing.add(uid, listing.table.number(known), internaldate.UNKNOWN if date is None else date, size or 0)


def fetch_items(response: list[Any]) -> dict[bytes, Any] | None:
    """The items of `* n FETCH (...)` by name, in whatever order; None when it is another response."""
    if len(response) != 4 or text(response[2]).upper() != b"FETCH":
        return None
    pairs = values(response[3])
    return {pairs[i].upper(): pairs[i + 1] for i in range(0, len(pairs) - 1, 2) if isinstance(pairs[i], bytes)}


def fetch_one(session: Session, uid: int, items: bytes) -> dict[bytes, Any]:
    """HEADER or DATE_AND_SIZE of one message in the selected folder; empty when it is not there."""
    found: dict[bytes, Any] = {}
    for told in map(fetch_items, session.run(b"UID FETCH", b"%d" % uid, items).responses):
        if told and whole_number(told.get(b"UID")) == uid:
            found |= told
    return found


def is_longer(session: Session, name: bytes, uid: int, octets: int) -> bool:
    """Whether a message has more octets, whatever its RFC822.SIZE says; True when the server can't tell."""
    session.ensure_selected(name)
    items = fetch_one(session, uid, b"(UID BODY.PEEK[]<%d.1>)" % octets)
    told = [value for key, value in items.items() if key.startswith(b"BODY[]")]
    return not told or bool(told[0])


# -- what a message is known by

_LONGEST_FIELDS = 65_536  # bytes of a message's header fields that are looked at
_READABLE = bytes(octet if 0x20 <= octet < 0x7F else 0x3F for octet in range(256))
_FOLD = re.compile(rb"\r?\n[ \t]+")


def begin_identities(session: Session, uids: Iterable[int], found: "dict[int, Identity]") -> Pending:
    """Ask messages of the selected folder for what they are known by; `found` takes it, by UID."""

    def take(uid: int, fields: bytes) -> None:
        found[uid] = identity(fields)

    return _begin_fields(session, uids, b"MESSAGE-ID FROM SUBJECT DATE X-BASCULE-REPAIRED", take)


def begin_date_fields(session: Session, uids: Iterable[int], found: dict[int, bytes]) -> Pending:
    """Ask messages of the selected folder for the header fields in which a date stands."""
    return _begin_fields(session, uids, b"RECEIVED DATE", found.__setitem__)


def _begin_fields(session: Session, uids: Iterable[int], names: bytes, take: Callable[[int, bytes], None]) -> Pending:
    def handle(line: bytes) -> None:
        literal = LITERAL.search(line)
        fields = b""
        if literal is None or not line[: literal.start()].rstrip().endswith(b"]"):
            items = fetch_items(read_response(session.wire, line)) or {}
            told = [text(value) for key, value in items.items() if key.startswith(b"BODY[")]
            fields, uid = b"".join(told), whole_number(items.get(b"UID")) if told else 0
        else:
            for chunk in session.wire.stream(int(literal[1])):
                fields += chunk[: _LONGEST_FIELDS - len(fields)]
            tail = session.wire.read_line()
            uid = _uid(line) or _uid(tail)
        if uid:
            take(uid, fields)

    items = b"(UID BODY.PEEK[HEADER.FIELDS (" + names + b")])"
    return session.begin(b"UID FETCH", write_set(uids), items, handler=handle)


class Identity(NamedTuple):
    """What a message is known by beside its date and size. `repaired`: the mark of one that Bascule has repaired."""

    digest: bytes
    repaired: bytes = b""


def identity(fields: bytes) -> Identity:
    """Of header fields as a server gives them: their order, folding and the octets that servers alter don't count."""
    told = []
    repaired = b""
    for line in _FOLD.sub(b" ", fields).splitlines():
        name, _, value = line.partition(b":")
        value = b" ".join(value.split()).translate(_READABLE)
        if name.strip().lower() == b"x-bascule-repaired":
            repaired = value
        elif value:
            told.append(name.strip().lower() + b":" + value)
    return Identity(hashlib.blake2b(b"\n".join(sorted(told)), digest_size=16).digest(), repaired)


# -- whole messages


class Receiver(Protocol):
    """Takes messages one after the other, each in pieces: no message is held in memory here."""

    def begin(self, uid: int, size: int) -> None:
        """A message of `size` bytes comes; `uid` is 0 when the server names it after its text."""

    def data(self, chunk: bytes) -> None:
        """The next piece."""

    def end(self, uid: int) -> None:
        """It has come whole; `uid` is 0 when the server has not named it at all."""


def begin_bodies(session: Session, uids: Iterable[int], receiver: Receiver) -> Pending:
    """Ask for whole messages of the selected folder.

    Servers may begin with the next command's messages before they end the one before (Dovecot does), so that the
    receiver tells them apart by UIDs and not by commands.
    """

    def handle(line: bytes) -> None:
        if found := _USUAL_BODY.fullmatch(line):
            _stream(session.wire, int(found[1]), int(found[2]), receiver)
            return
        literal = LITERAL.search(line)
        if literal and line[: literal.start()].upper().endswith(b"BODY[] "):
            _stream(session.wire, _uid(line), int(literal[1]), receiver)
            return
        items = fetch_items(read_response(session.wire, line)) or {}
        whole, uid = items.get(b"BODY[]"), whole_number(items.get(b"UID"))
        if isinstance(whole, bytes):
            receiver.begin(uid, len(whole))
            receiver.data(whole)
            receiver.end(uid)

    return session.begin(b"UID FETCH", write_set(uids), b"(UID BODY.PEEK[])", handler=handle)


def _stream(wire: Wire, uid: int, size: int, receiver: Receiver) -> None:
    receiver.begin(uid, size)
    for chunk in wire.stream(size):
        receiver.data(chunk)
    tail = wire.read_line()
    if tail != b")\r\n":  # more items stand after the text
        uid = uid or _uid(tail)
        while literal := LITERAL.search(tail):
            wire.read_literal(int(literal[1]))
            tail = wire.read_line()
            uid = uid or _uid(tail)
    receiver.end(uid)


def _uid(part: bytes) -> int:
    """The UID in the part of a FETCH response before or after its literal; 0 when it stands in the other part."""
    found = _UID.search(_FLAGS.sub(b"", part))
    return int(found[1]) if found else 0


def fetch_whole(session: Session, name: bytes, uid: int) -> bytes:
    """A message's octets, in memory: only for the few that are repaired."""
    session.ensure_selected(name)
    whole = _Whole()
    session.finish(begin_bodies(session, [uid], whole))
    return b"".join(whole.chunks)


class _Whole:
    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    def begin(self, uid: int, size: int) -> None:
        pass

    def data(self, chunk: bytes) -> None:
        self.chunks.append(chunk)

    def end(self, uid: int) -> None:
        pass

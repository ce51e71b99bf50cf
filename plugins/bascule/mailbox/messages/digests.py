"""What messages are known by when they are compared: SHA-256 of what a server gives. Nothing is held in memory."""

import hashlib
import re
from typing import NamedTuple

from bascule.mailbox.imap.fetch import begin_bodies
from bascule.mailbox.workers import Side

HASHED_AT_ONCE = 500  # messages asked for in one command
LONGEST_HEADER = 65_536  # bytes; in a longer one the server's own fields count like all others

# Fields in which servers with mbox files keep a message's UID and flags. Some show them (mailutils' imap4d), so that
# the message has other octets whenever its flags change, or somebody has opened the folder.
_SERVER_FIELDS = re.compile(
    rb"^(?:X-UID|X-IMAPbase|X-IMAP|Status|X-Status|X-Keywords)[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*", re.IGNORECASE | re.M
)
_END_OF_HEADER = re.compile(rb"(?:^|\n)\r?\n")


class Digest(NamedTuple):
    """`octets`: of all of a message. `mail`: of it without the fields in which a server keeps its own state."""

    octets: bytes
    mail: bytes


def digests(side: Side, uids: list[int]) -> dict[int, Digest]:
    """Of these messages, as far as they are still there."""
    side.session.ensure_selected(side.name)
    hashing = Hashing()
    pieces = [uids[i : i + HASHED_AT_ONCE] for i in range(0, len(uids), HASHED_AT_ONCE)]
    for pending in [begin_bodies(side.session, piece, hashing) for piece in pieces]:
        side.session.finish(pending)
    return hashing.found


class Hashing:
    """Receives messages; `found` has what they are known by."""

    def __init__(self) -> None:
        self.found: dict[int, Digest] = {}

    def begin(self, uid: int, size: int) -> None:
        self._octets = hashlib.sha256()
        self._mail: hashlib._Hash | None = None  # as long as it is the same
        self._head: bytearray | None = bytearray()  # until the header has come whole

    def data(self, chunk: bytes) -> None:
        self._octets.update(chunk)
        if self._mail is not None:
            self._mail.update(chunk)
        elif self._head is not None:
            looked_at = max(0, len(self._head) - 3)
            self._head += chunk
            end = _END_OF_HEADER.search(self._head, looked_at, LONGEST_HEADER)
            if end or len(self._head) > LONGEST_HEADER:
                self._take_header(end.end() if end else 0)

    def end(self, uid: int) -> None:
        if self._head is not None:
            self._take_header(len(self._head))
        if uid:
            octets = self._octets.digest()  # once in memory, where both are the same
            self.found[uid] = Digest(octets, self._mail.digest() if self._mail is not None else octets)

    def _take_header(self, length: int) -> None:
        head, self._head = bytes(self._head or b""), None
        fields = _SERVER_FIELDS.sub(b"", head[:length])
        if len(fields) != length:
            self._mail = hashlib.sha256(fields + head[length:])

"""Who was told of an absence by old is not told again by new: Pigeonhole's record of answers, carried over.

Dovecot 2.3 keeps it in `.dovecot.lda-dupes` in the account's home: a version, then records of an expiry time, an id (a
hash of the sender and of the `vacation` command's texts) and the account's name. Both records are put together.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from bascule.hosts.connections import AccessError
from bascule.sieve.shared import SharedHost
from bascule.text.logs import get_logger

log = get_logger(__name__)

FILE = ".dovecot.lda-dupes"
VERSION = 2
HEADER = struct.Struct("<I")
RECORD = struct.Struct("<III")  # expiry in seconds since 1970, length of the id, length of the account's name

Key = tuple[bytes, bytes]


class UnknownRecord(AccessError):
    """Raised when the file of a server is not of the form that this page knows."""


@dataclass(frozen=True)
class VacationRecord:
    """The two hosts, where the records lie."""

    old: SharedHost
    new: SharedHost

    def carry(self, account: str, *, dry_run: bool = False) -> int:
        """Add the old server's record to the new one's; return how many answers were added, or would be.

        Raises AccessError when a host says nothing of the account, or UnknownRecord.
        """
        old = self.old.read_file(f"{_field(self.old, account, 'home')}/{FILE}")
        if old is None:
            return 0
        path = f"{_field(self.new, account, 'home')}/{FILE}"
        new = self.new.read_file(path)
        known = read(new) if new is not None else {}
        both = merged(read(old), known)
        if both == known:
            return 0
        added = len(both) - len(known)
        if dry_run:
            log.info("record of vacation answers would be carried over", account=account, added=added)
            return added
        self._put(account, path, write(both))
        log.info("record of vacation answers carried over", account=account, answers=len(both), added=added)
        return added

    def _put(self, account: str, path: str, data: bytes) -> None:
        """By way of a directory of root's: the home's owner could put a link in the way of root's writing there."""
        owner, group = _field(self.new, account, "uid"), _field(self.new, account, "gid")
        staged = self.new.run(["mktemp", "-d", "-p", "/run", "bascule-XXXXXXXX"]).output.strip()
        try:
            self.new.write_file(f"{staged}/record", data, mode="0600")
            self.new.run(["install", "-m", "0600", "-o", owner, "-g", group, "--", f"{staged}/record", path])
        finally:
            self.new.run(["rm", "-rf", "--", staged], check=False)


def merged(old: Mapping[Key, int], new: Mapping[Key, int]) -> dict[Key, int]:
    """Both records; where both have answered the same sender, the later expiry counts."""
    both = dict(new)
    for key, expiry in old.items():
        both[key] = max(expiry, both.get(key, 0))
    return both


def read(data: bytes) -> dict[Key, int]:
    """The records of a file: (id, account's name) -> expiry. Raises UnknownRecord."""
    if len(data) < HEADER.size or HEADER.unpack_from(data)[0] != VERSION:
        raise UnknownRecord(
            "the record of vacation answers has another form than Dovecot 2.3's: it is not carried over"
        )
    found, at = {}, HEADER.size
    while at < len(data):
        if at + RECORD.size > len(data):
            raise UnknownRecord(
                "the record of vacation answers ends in the middle of an answer: it is not carried over"
            )
        expiry, id_size, user_size = RECORD.unpack_from(data, at)
        at += RECORD.size
        if at + id_size + user_size > len(data):
            raise UnknownRecord(
                "the record of vacation answers ends in the middle of an answer: it is not carried over"
            )
        found[data[at : at + id_size], data[at + id_size : at + id_size + user_size]] = expiry
        at += id_size + user_size
    return found


def write(records: Mapping[Key, int]) -> bytes:
    """The file with these records."""
    parts = [HEADER.pack(VERSION)]
    for (identity, user), expiry in records.items():
        parts += [RECORD.pack(expiry, len(identity), len(user)), identity, user]
    return b"".join(parts)


def _field(host: SharedHost, account: str, name: str) -> str:
    return host.run(["doveadm", "user", "-f", name, account]).output.strip()

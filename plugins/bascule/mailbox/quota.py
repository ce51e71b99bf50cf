"""Quota (RFC 9208, RFC 2087), looked at before it is hit: what new has left, and the gate where copies wait for it."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bascule.mailbox import names
from bascule.mailbox.errors import Refused
from bascule.mailbox.folders import Folder
from bascule.mailbox.session import Pending, Session, number

HEADROOM = 10  # percent that a raised quota leaves free: a mailbox that is full to the brim takes no new mail
UNIT = 1024  # octets that one unit of STORAGE is (RFC 9208 section 5.1)
WHOLE = 1_048_576  # a proposed quota is a multiple of this


@dataclass(frozen=True)
class Quota:
    """What an account uses and may use, in bytes and in messages; None: not limited."""

    used: int = 0
    limit: int | None = None
    messages: int = 0
    most_messages: int | None = None

    @property
    def left(self) -> int | None:
        """Bytes."""
        return None if self.limit is None else max(0, self.limit - self.used)

    @property
    def messages_left(self) -> int | None:
        return None if self.most_messages is None else max(0, self.most_messages - self.messages)

    @property
    def is_limited(self) -> bool:
        return self.limit is not None or self.most_messages is not None

    def fits(self, octets: int, messages: int) -> bool:
        return (self.left is None or octets <= self.left) and (
            self.messages_left is None or messages <= self.messages_left
        )


@dataclass(frozen=True)
class Shortage:
    """A mailbox that does not fit: what is to be copied, and both sides' quotas."""

    octets: int
    messages: int
    old: Quota
    new: Quota

    @property
    def proposed(self) -> int:
        """The quota in bytes that takes everything: never less than old allowed."""
        wanted = (self.new.used + self.octets) * (100 + HEADROOM) // 100
        return -(-max(wanted, self.old.limit or 0, self.new.limit or 0) // WHOLE) * WHOLE


class Gate:
    """Where copies wait until every folder was looked at, and it is known whether all of them fit."""

    def __init__(self) -> None:
        self.messages = self.octets = 0
        self._held: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def hold(self, messages: int, octets: int, begin: Callable[[], None]) -> None:
        with self._lock:
            self.messages, self.octets = self.messages + messages, self.octets + octets
            self._held.append(begin)

    def open(self) -> None:
        held, self._held = self._held, []
        for begin in held:
            begin()


def ask(session: Session) -> Quota:
    """The quota of the account on this server; without any limit where the server has or tells none."""
    if not session.has("QUOTA"):
        return Quota()
    try:
        return strictest(session.run(b"GETQUOTAROOT", names.argument(b"INBOX")).responses)
    except Refused:
        return Quota()


def strictest(responses: Iterable[list[Any]]) -> Quota:
    """Of all quota roots the least space, and the least number of messages."""
    storage: list[tuple[int, int]] = []
    counts: list[tuple[int, int]] = []
    for response in responses:
        if len(response) > 3 and isinstance(response[1], bytes) and response[1].upper() == b"QUOTA":
            told = response[3] if isinstance(response[3], list) else []
            for name, used, limit in zip(told[::3], told[1::3], told[2::3], strict=False):
                if all(isinstance(item, bytes) for item in (name, used, limit)):
                    kinds = {b"STORAGE": storage, b"MESSAGE": counts}
                    kinds.get(name.upper(), []).append((number(used), number(limit)))
    used, limit = min(storage, key=_left, default=(0, None))
    messages, most = min(counts, key=_left, default=(0, None))
    return Quota(used * UNIT, None if limit is None else limit * UNIT, messages, most)


def _left(used_and_limit: tuple[int, int]) -> int:
    return used_and_limit[1] - used_and_limit[0]


def at_most(session: Session, folders: Iterable[Folder]) -> int | None:
    """How many bytes these folders of old hold (STATUS SIZE, RFC 8438); None where old does not tell."""
    if not session.has("STATUS=SIZE"):
        return None
    asked = [session.begin(b"STATUS", names.argument(folder.raw), b"(SIZE)") for folder in folders]
    sizes = [_size(session, pending) for pending in asked]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _size(session: Session, pending: Pending) -> int | None:
    try:
        session.finish(pending)
    except Refused:
        return None
    for response in pending.responses:
        if len(response) > 3 and isinstance(response[3], list):
            for name, size in zip(response[3][::2], response[3][1::2], strict=False):
                if isinstance(name, bytes) and name.upper() == b"SIZE" and isinstance(size, bytes):
                    return number(size)
    return None

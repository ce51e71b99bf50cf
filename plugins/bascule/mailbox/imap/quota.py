"""GETQUOTAROOT (RFC 9208, RFC 2087): what an account uses on a server, and what it may use."""

from dataclasses import dataclass

from bascule.mailbox.imap.errors import Refused
from bascule.mailbox.imap.session import Pending, Session
from bascule.mailbox.imap.syntax import number, string

UNIT = 1024  # octets that one unit of STORAGE is (RFC 9208 section 5.1)


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


def get_quota(session: Session) -> Quota:
    """The quota of the account on this server; without any limit where the server has or tells none."""
    if not session.has("QUOTA"):
        return Quota()
    try:
        return strictest(session.run(b"GETQUOTAROOT", string(b"INBOX")))
    except Refused:
        return Quota()


def strictest(answer: Pending) -> Quota:
    """Of all quota roots the least space, and the least number of messages."""
    storage: list[tuple[int, int]] = []
    counts: list[tuple[int, int]] = []
    kinds = {b"STORAGE": storage, b"MESSAGE": counts}
    for response in answer.named(b"QUOTA", 4):
        told = response[3] if isinstance(response[3], list) else []
        for name, used, limit in zip(told[::3], told[1::3], told[2::3], strict=False):
            if all(isinstance(item, bytes) for item in (name, used, limit)):
                kinds.get(name.upper(), []).append((number(used), number(limit)))
    used, limit = min(storage, key=_left, default=(0, None))
    messages, most = min(counts, key=_left, default=(0, None))
    return Quota(used * UNIT, None if limit is None else limit * UNIT, messages, most)


def _left(used_and_limit: tuple[int, int]) -> int:
    return used_and_limit[1] - used_and_limit[0]

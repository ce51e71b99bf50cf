"""APPEND (RFC 9051 section 6.3.12): the only place that sends it. One command may carry many messages (RFC 3502)."""

from itertools import pairwise

from bascule.mailbox.imap import internaldate
from bascule.mailbox.imap.connection import CHUNK
from bascule.mailbox.imap.errors import FolderBusy, QuotaReached, Refused, TransientError, passes_by_itself
from bascule.mailbox.imap.flags import Flags, before_literal
from bascule.mailbox.imap.responses import whole_number
from bascule.mailbox.imap.session import Session
from bascule.mailbox.imap.syntax import parse_set, string

MOST_AT_ONCE = 10_000  # messages in one APPEND


class Append:
    """One command on its way: messages are begun and written one after the other, then it is ended and finished.

    Nothing stands before a non-synchronising literal that a server could stumble over: flags as `before_literal` lets
    them through, a date written by ourselves, the name of a folder that was selected on that server before. A server
    that answered BAD would execute the message's text as commands (docs/engine.md, security).

    `synchronising`: the server agrees to every literal.
    """

    def __init__(self, session: Session, name: bytes, *, synchronising: bool = False) -> None:
        session.unselect_unless_writable(name)
        self._session = session
        self._limit = 0 if synchronising else session.capabilities.literal_limit
        self._pending = session.start(b"APPEND", string(name), command="APPEND")
        self._listens = False
        self.is_open = not self.answered  # the server waits for more of the command

    @property
    def answered(self) -> bool:
        return self._pending.status is not None

    def begin_message(self, flags: Flags, date: int, size: int) -> bool:
        """Send what stands before a message's text; False when the server does not want it: then write nothing."""
        if self._pending.status is not None:
            return False
        head = b" (" + before_literal(flags) + b") "
        if date != internaldate.UNKNOWN:
            head += internaldate.write(date) + b" "
        self._listens = size > CHUNK
        if size <= self._limit:
            self._session.wire.write(head + b"{%d+}\r\n" % size)
        else:
            self.is_open = self._session.announce(self._pending, size, head)
        return self.is_open

    def write(self, chunk: bytes) -> None:
        """The next piece of a message's text. Stops at once when the server has closed the connection or said BAD."""
        wire = self._session.wire
        wire.write(chunk)
        if self._listens:
            wire.flush()
            while wire.has_input():
                self._session.pump()
            if wire.lost:
                raise TransientError(f"{self._session.server.endpoint.host} broke off an APPEND")

    def end(self) -> None:
        """The command ends here."""
        if self.is_open and not self._session.wire.lost:
            self._session.wire.write(b"\r\n")
            self._session.wire.flush()
            self.is_open = False

    def finish(self, uidvalidity: int) -> list[int]:
        """Wait for the answer: the messages' new UIDs (APPENDUID, RFC 4315), or none where the server tells none.

        Raises QuotaReached, TransientError, NotUnderstood; Refused when it is the messages that the server won't take.
        """
        try:
            status = self._session.finish(self._pending).status
        except Refused as error:
            if error.code == "OVERQUOTA":
                raise QuotaReached(error.text) from None
            if passes_by_itself(error) or error.code == "TRYCREATE":
                raise FolderBusy(error) from None
            raise
        if status is None or status.code != "APPENDUID" or not self._session.has("UIDPLUS"):
            return []
        told, _, uids = status.arguments.partition(b" ")
        if whole_number(told) not in (0, uidvalidity):
            raise TransientError("the folder was made anew while messages were copied into it")
        return _told(uids)


def _told(uids: bytes) -> list[int]:
    """The UIDs; none when it is no ascending set (RFC 4315 3), or one of more than a command can have brought."""
    try:
        ranges = list(parse_set(uids))
    except ValueError:
        return []
    if any(one[1] >= other[0] for one, other in pairwise(ranges)) or not all(first for first, _ in ranges):
        return []
    if sum(last - first + 1 for first, last in ranges) > MOST_AT_ONCE:
        return []
    return [uid for first, last in ranges for uid in range(first, last + 1)]

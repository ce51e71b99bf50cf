"""Messages that the bulk copy leaves alone are copied one by one, each literal agreed to by the new server."""

from dataclasses import dataclass

from bascule.mailbox import dates, flags
from bascule.mailbox.copying import QuotaReached, appended_uids, literal_uid
from bascule.mailbox.errors import Refused, TransientError, passes_by_itself
from bascule.mailbox.listing import Seen, fetch_items
from bascule.mailbox.names import argument
from bascule.mailbox.parse import read_response
from bascule.mailbox.session import Pending, Session
from bascule.mailbox.state import FolderState
from bascule.mailbox.wire import LITERAL


@dataclass(frozen=True)
class Arrived:
    """The message is on new, there with this UID (0: new did not say)."""

    new_uid: int


class CarefulCopy:
    """One message from old to new, by synchronising literals only."""

    def __init__(self, old: Session, new: Session, folder: FolderState) -> None:
        self.old, self.new, self.folder = old, new, folder
        self._append: Pending | None = None

    def copy(self, message: Seen) -> Arrived | None:
        """None when the message is gone from old. Raises Refused with the new server's words, TransientError."""
        self.old.ensure_selected(self.folder.old.raw)
        self._append = None

        def handle(line: bytes) -> None:
            literal = LITERAL.search(line)
            if literal and line.endswith(b"BODY[] " + literal[0]):
                self._stream(message, int(literal[1]))
                tail = self.old.wire.read_line()
                if (literal_uid(line) or literal_uid(tail)) not in (0, message.uid):
                    raise TransientError("old sent another message than the one asked for")
                return
            items = fetch_items(read_response(self.old.wire, line))
            text = items.get(b"BODY[]") if items else None
            if isinstance(text, bytes):
                self.send(message, text)

        self.old.run(b"UID FETCH", b"%d" % message.uid, b"(UID BODY.PEEK[])", handler=handle)
        return self._answer()

    def _stream(self, message: Seen, size: int) -> None:
        taken = self._begin(message, size)
        for chunk in self.old.wire.stream(size):
            if taken:
                self.new.wire.write(chunk)
        self._end()

    def send(self, message: Seen, text: bytes) -> None:
        """Append this text with the message's flags and date."""
        if self._begin(message, len(text)):
            self.new.wire.write(text)
        self._end()

    def append(self, message: Seen, text: bytes) -> Arrived:
        """Append this text in the message's stead. Raises Refused."""
        self._append = None
        self.send(message, text)
        arrived = self._answer()
        if arrived is None:
            raise TransientError("an APPEND got no answer")
        return arrived

    def _begin(self, message: Seen, size: int) -> bool:
        self.new.leave_unless_writable(self.folder.new_raw)
        self._append = self.new.begin_append(argument(self.folder.new_raw))
        head = b" (" + flags.inline(message.flags) + b")"
        if message.date != dates.UNKNOWN:
            head += b" " + dates.write(message.date)
        return self.new.agree(self._append, size, head)

    def _end(self) -> None:
        if self._append is not None and self._append.status is None:
            self.new.wire.write(b"\r\n")
            self.new.wire.flush()

    def _answer(self) -> Arrived | None:
        if self._append is None:
            return None
        try:
            self.new.finish(self._append)
        except Refused as error:
            if error.code == "OVERQUOTA":
                raise QuotaReached(error.words) from None
            if passes_by_itself(error):
                raise TransientError(str(error)) from None
            raise
        uids = appended_uids(self.new, self._append, self.folder.row.new_uidvalidity)
        return Arrived(uids[0] if len(uids) == 1 else 0)

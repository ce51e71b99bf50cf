"""The bulk copy: messages flow from UID FETCH on old to APPEND on new through a bounded buffer, batch after batch.

The next batches are asked for while one is relayed, and new answers while the next one is sent.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from bascule.mailbox import dates, flags
from bascule.mailbox.errors import NotUnderstood, Refused, SourceBroke, TransientError, passes_by_itself
from bascule.mailbox.limits import Pace
from bascule.mailbox.listing import Seen, fetch_items, parse_set, write_set
from bascule.mailbox.names import argument
from bascule.mailbox.parse import read_response
from bascule.mailbox.session import Pending, Session
from bascule.mailbox.state import FolderState
from bascule.mailbox.wire import CHUNK, LITERAL

BATCH_MESSAGES = 100
BATCH_BYTES = 4_000_000
AHEAD = 2  # batches asked for before they are relayed
UNANSWERED = 2  # batches sent before new's answers are waited for

_BODY_FIRST = re.compile(rb"\* \d+ FETCH \(UID (\d+) BODY\[\] \{(\d+)\}\r\n")
_FLAGS = re.compile(rb"FLAGS \([^()]*\)")
_UID = re.compile(rb"[( ]UID (\d+)[ )]")


class QuotaReached(Exception):
    """Raised when the new server says that the account's quota is full."""


@dataclass
class Sent:
    """One APPEND that was sent: the messages in it, and its answer to come."""

    pending: Pending
    messages: list[Seen]


@dataclass
class Relay:
    """What one lane's bulk copy gave: messages that arrived, and those whose APPEND was refused, with the words."""

    refused: list[tuple[list[Seen], Refused]] = field(default_factory=list)
    copied: int = 0
    bytes: int = 0


def batches(messages: Iterable[Seen]) -> list[list[Seen]]:
    """Cut into what one MULTIAPPEND carries."""
    cut: list[list[Seen]] = []
    size = 0
    for message in messages:
        if not cut or len(cut[-1]) >= BATCH_MESSAGES or size + message.size > BATCH_BYTES:
            cut.append([])
            size = 0
        cut[-1].append(message)
        size += message.size
    return cut


class BulkCopy:
    """Copies batches of one folder over one lane."""

    def __init__(self, old: Session, new: Session, folder: FolderState, pace: Pace, tell: Callable[[int, int], None]):
        self.old, self.new, self.folder, self.pace, self.tell = old, new, folder, pace, tell
        self.result = Relay()
        self._unanswered: deque[Sent] = deque()

    def run(self, todo: list[list[Seen]]) -> Relay:
        """Copy the batches. Raises TransientError, QuotaReached."""
        self.old.ensure_selected(self.folder.old.raw)
        self.new.leave_unless_writable(self.folder.new_raw)
        relay = _Relaying(self, todo)
        asked: deque[Pending] = deque()
        waiting = deque(todo)
        while asked or waiting:
            while waiting and len(asked) <= AHEAD:
                uids = write_set([message.uid for message in waiting.popleft()])
                asked.append(self.old.begin(b"UID FETCH", uids, b"(UID BODY.PEEK[])", handler=relay.handle))
            self._finish_fetch(asked.popleft(), relay)
            while len(self._unanswered) > UNANSWERED:
                self._take_answer()
        relay.close()
        while self._unanswered:
            self._take_answer()
        return self.result

    def _finish_fetch(self, pending: Pending, relay: "_Relaying") -> None:
        try:
            self.old.finish(pending)
        except Refused as error:
            # Messages that vanished meanwhile make some servers say NO to the whole command; the rest has come.
            if passes_by_itself(error):
                raise TransientError(str(error)) from None
        except TransientError:
            suspect = relay.awaited()
            if self.old.wire.lost and not self.new.wire.lost and suspect is not None:
                raise SourceBroke(suspect) from None
            raise

    def sent(self, pending: Pending, messages: list[Seen]) -> None:
        self._unanswered.append(Sent(pending, messages))

    def _take_answer(self) -> None:
        sent = self._unanswered.popleft()
        try:
            self.new.finish(sent.pending)
        except Refused as error:
            if error.code == "OVERQUOTA":
                raise QuotaReached(error.words) from None
            if passes_by_itself(error) or error.code == "TRYCREATE":
                raise TransientError(str(error)) from None
            self.result.refused.append((sent.messages, error))
            return
        except NotUnderstood:
            for message in sent.messages:
                self.folder.except_message(message.uid, "bad")
            raise
        self._arrived(sent)

    def _arrived(self, sent: Sent) -> None:
        new_uids = appended_uids(self.new, sent.pending, self.folder.row.new_uidvalidity)
        size = sum(message.size for message in sent.messages)
        self.result.copied += len(sent.messages)
        self.result.bytes += size
        self.tell(len(sent.messages), size)
        if len(new_uids) != len(sent.messages):
            self.folder.unsure = self.folder.touched = True
            return
        pairs, seen = [], []
        for message, new_uid in zip(sent.messages, new_uids, strict=True):
            later = flags.afterwards(message.flags)
            pairs.append((message.uid, new_uid))
            seen.append((message.uid, message.flags, message.flags - later))
            if later:
                self.folder.later_keywords[new_uid] = later
        self.folder.arrived(pairs, seen)


class _Relaying:
    """Relays FETCH responses into one MULTIAPPEND (RFC 3502) for each batch, or into APPENDs one by one.

    Servers may begin with the next command's messages before they end the one before, so that batches are told
    apart by UIDs and not by commands.
    """

    def __init__(self, copy: BulkCopy, todo: list[list[Seen]]) -> None:
        self._copy, self._new, self._folder = copy, copy.new, copy.folder
        self._expected = {message.uid: (number, message) for number, batch in enumerate(todo) for message in batch}
        self._batch = -1
        self._multi = self._new.has("MULTIAPPEND")
        self._open: Pending | None = None
        self._sent: list[Seen] = []
        self.inside: int | None = None  # the UID of the literal that is being read

    def handle(self, line: bytes) -> None:
        found = _BODY_FIRST.fullmatch(line)
        if found:
            self._stream(int(found[1]), int(found[2]))
            self._after_literal()
            return
        literal = LITERAL.search(line)
        if literal and line.endswith(b"BODY[] " + literal[0]):
            uid = literal_uid(line)
            if uid:
                self._stream(uid, int(literal[1]))
                self._after_literal()
            else:
                self._uid_comes_late(int(literal[1]))
            return
        items = fetch_items(read_response(self._copy.old.wire, line))
        if items and isinstance(items.get(b"BODY[]"), bytes) and b"UID" in items:
            self._whole(int(items[b"UID"]), items[b"BODY[]"])

    def _after_literal(self) -> bytes:
        tail = self._copy.old.wire.read_line()
        while literal := LITERAL.search(tail):
            self._copy.old.wire.read_literal(int(literal[1]))
            tail = self._copy.old.wire.read_line()
        self.inside = None
        return tail

    def _uid_comes_late(self, size: int) -> None:
        """The UID stands after the text: with one message in the batch it is known all the same."""
        uid = next(iter(self._expected)) if len(self._expected) == 1 else 0
        self._stream(uid, size)
        self._after_literal()

    def _stream(self, uid: int, size: int) -> None:
        message = self._expect(uid)
        self.inside = uid
        wire = self._copy.old.wire
        if message is None:
            for _ in wire.stream(size):
                pass  # a text that was not asked for: read past it, or its lines would be taken for answers
            return
        taken = self._begin_message(message, size)
        suspect = False
        for chunk in wire.stream(size):
            suspect = suspect or b"\0" in chunk
            if taken:
                self._copy.pace.wait(octets=len(chunk))
                self._new.wire.write(chunk)
                if size > CHUNK:
                    self._listen()
        self._end_message(message, size, taken, suspect)

    def _whole(self, uid: int, text: bytes) -> None:
        message = self._expect(uid)
        if message is not None:
            taken = self._begin_message(message, len(text))
            if taken:
                self._copy.pace.wait(octets=len(text))
                self._new.wire.write(text)
            self._end_message(message, len(text), taken, b"\0" in text)

    def _expect(self, uid: int) -> Seen | None:
        """The message, if it was asked for and has not come yet; another batch than before begins a new APPEND."""
        found = self._expected.pop(uid, None)
        if found is None:
            return None
        number, message = found
        if number != self._batch:
            self.close()
            self._batch = number
        return message

    def awaited(self) -> int | None:
        """The message at which the old server stands: the one that is being read, or the next one asked for."""
        return self.inside if self.inside is not None else next(iter(self._expected), None)

    def _begin_message(self, message: Seen, size: int) -> bool:
        """Send what stands before the message's text; False when new does not want it."""
        self._copy.pace.wait(messages=1)
        if self._open is None:
            self._open = self._new.begin_append(argument(self._folder.new_raw))
        head = b" (" + flags.inline(message.flags) + b")"
        if message.date != dates.UNKNOWN:
            head += b" " + dates.write(message.date)
        if size <= self._new.literal_plus_limit:
            self._new.wire.write(head + b" {%d+}\r\n" % size)
            return self._open.status is None
        return self._new.agree(self._open, size, head)

    def _end_message(self, message: Seen, size: int, taken: bool, suspect: bool) -> None:
        self._sent.append(message if message.size == size else replace(message, size=size))
        if suspect:
            self._folder.suspects.add(message.uid)
        if not taken or not self._multi:
            self.close()

    def _listen(self) -> None:
        """Between the pieces of a large message: stop at once when new has closed the connection or said BAD."""
        self._new.wire.flush()
        while self._new.wire.has_input():
            self._new.pump()
        if self._new.wire.lost:
            raise TransientError("the new server broke off an APPEND")

    def close(self) -> None:
        """The APPEND that is open ends here."""
        if self._open is None:
            return
        if self._open.status is None:
            self._new.wire.write(b"\r\n")
            self._new.wire.flush()
        self._copy.sent(self._open, self._sent)
        self._open, self._sent = None, []


def literal_uid(part: bytes) -> int:
    """The UID in the part of a FETCH response before or after its literal; 0 when it stands in the other part."""
    found = _UID.search(_FLAGS.sub(b"", part))
    return int(found[1]) if found else 0


def appended_uids(session: Session, pending: Pending, uidvalidity: int) -> list[int]:
    """The UIDs of APPENDUID (RFC 4315), in the order of the messages; empty when the server told none."""
    status = pending.status
    if status is None or status.code != "APPENDUID" or not session.has("UIDPLUS"):
        return []
    told, _, uid_set = status.arguments.partition(b" ")
    if int(told) != uidvalidity:
        raise TransientError("the new folder was made anew while messages were copied into it")
    return [uid for first, last in parse_set(uid_set) for uid in range(first, last + 1)]

"""The bulk copy: messages flow from UID FETCH on the source to APPEND on the destination through a bounded buffer.

The next batches are asked for while one is relayed, and the destination answers while the next one is sent.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from bascule.mailbox.imap.append import Append
from bascule.mailbox.imap.errors import (
    FolderBusy,
    NotUnderstood,
    Refused,
    SourceBroke,
    TransientError,
    passes_by_itself,
)
from bascule.mailbox.imap.fetch import begin_bodies
from bascule.mailbox.imap.listing import Listed
from bascule.mailbox.imap.session import Pending
from bascule.mailbox.messages.as_listed import select_as_listed
from bascule.mailbox.messages.placeholders import Placeholders
from bascule.mailbox.throttle import Pace
from bascule.mailbox.workers import Side

BATCH_MESSAGES = 100
BATCH_BYTES = 4_000_000
AHEAD = 2  # batches asked for before they are relayed
UNANSWERED = 2  # batches sent before the destination's answers are waited for


class BatchNotUnderstood(NotUnderstood):
    """Raised when the destination says BAD to an APPEND: nothing is known of the connection any more."""

    def __init__(self, error: NotUnderstood, messages: list[Listed]) -> None:
        super().__init__(str(error))
        self.messages = messages


@dataclass
class Outcome:
    """What did not arrive, batch by batch with the refusal; and UIDs of messages that servers are known to alter."""

    refused: list[tuple[list[Listed], Refused]] = field(default_factory=list)
    suspects: set[int] = field(default_factory=set)
    last_uid: int = 0  # of the last message that was answered, on the source
    stopped: bool = False  # what came behind it was not stored


MayEnd = Callable[[int], bool]  # the UID on the source of an APPEND's first message
Arrived = Callable[[list[Listed], list[int]], None]  # messages, and their new UIDs if the destination has told them


def batches(messages: Iterable[Listed], most: int | None = None) -> list[list[Listed]]:
    """Cut into what one MULTIAPPEND carries."""
    cut: list[list[Listed]] = []
    size = 0
    for message in messages:
        if not cut or len(cut[-1]) >= (most or BATCH_MESSAGES) or size + message.size > BATCH_BYTES:
            cut.append([])
            size = 0
        cut[-1].append(message)
        size += message.size
    return cut


class BulkCopy:
    """Copies batches of messages from a folder to another; `uidvalidity` is the destination's.

    `may_end` makes the copy one in order: an APPEND has messages of consecutive UIDs only (`placeholders` stand for
    some that are missing), and ends when all before it are answered and `may_end` says so. After a refusal nothing more
    is stored.
    """

    def __init__(
        self, source: Side, destination: Side, uidvalidity: int, pace: Pace, arrived: Arrived,
        may_end: MayEnd | None = None, placeholders: Placeholders | None = None,
    ) -> None:  # fmt: skip
        self.source, self.destination, self.uidvalidity = source, destination, uidvalidity
        self.pace, self.arrived, self.may_end, self.placeholders = pace, arrived, may_end, placeholders
        self.outcome = Outcome()
        self._unanswered: deque[_Sent] = deque()
        self._relay: _Relay | None = None

    def in_flight(self) -> list[Listed]:
        """The messages that were sent, whole or in part, and not answered."""
        sent = [message for sent in self._unanswered for message in sent.messages]
        return sent + (self._relay.being_sent() if self._relay else [])

    def run(self, todo: list[list[Listed]]) -> Outcome:
        """Copy the batches. Raises QuotaReached, SourceBroke, BatchNotUnderstood, TransientError."""
        session = self.source.session
        select_as_listed(self.source, (message for batch in todo for message in batch))
        self._relay = relay = _Relay(self, todo)
        asked: deque[Pending] = deque()
        waiting = deque(todo)
        try:
            while asked or waiting:
                while waiting and len(asked) <= AHEAD:
                    asked.append(begin_bodies(session, [message.uid for message in waiting.popleft()], relay))
                self._finish_fetch(asked.popleft(), relay)
                if self.outcome.stopped:
                    waiting.clear()
                while len(self._unanswered) > UNANSWERED:
                    self._take_answer()
        except TransientError:
            self._take_last_answers()
            raise
        relay.end_append()
        while self._unanswered:
            self._take_answer()
        return self.outcome

    def _take_last_answers(self) -> None:
        """What was sent whole is carried out though the connection is cut: it would be looked for too soon."""
        with contextlib.suppress(TransientError):
            while self._unanswered and not self.destination.session.wire.lost:
                self._take_answer()

    def _finish_fetch(self, pending: Pending, relay: "_Relay") -> None:
        session = self.source.session
        try:
            session.finish(pending)
        except Refused as error:
            # Messages that vanished meanwhile make some servers say NO to the whole command; the rest has come.
            if passes_by_itself(error):
                raise FolderBusy(error) from None
        except TransientError:
            suspect = relay.awaited()
            if session.wire.lost and not self.destination.session.wire.lost and suspect is not None:
                raise SourceBroke(session.server, suspect) from None
            raise

    def end(self, sent: "_Sent") -> None:
        """One APPEND has got all of its messages."""
        if self.may_end is not None and not self._may_end(self.may_end, sent.first_uid):
            self.outcome.stopped = True
            self.destination.session.wire.close()  # an APPEND without its end stores nothing
            return
        sent.append.end()
        self._unanswered.append(sent)

    def _may_end(self, may_end: MayEnd, uid: int) -> bool:
        while self._unanswered:
            self._take_answer()
        return not self.outcome.refused and may_end(uid)

    def _take_answer(self) -> None:
        sent = self._unanswered[0]
        messages = sent.messages
        self.outcome.last_uid = messages[-1].uid
        try:
            uids = sent.append.finish(self.uidvalidity)
            self._unanswered.popleft()
        except Refused as error:
            self._unanswered.popleft()
            self.outcome.refused.append((messages, error))
        except NotUnderstood as error:
            raise BatchNotUnderstood(error, messages) from None
        else:
            self.arrived(messages, self._of_messages(sent, uids))

    def _of_messages(self, sent: "_Sent", uids: list[int]) -> list[int]:
        """The UIDs without those of placeholders."""
        if self.placeholders is None or all(sent.places):
            return uids
        if len(uids) != len(sent.places):
            return []
        self.placeholders.told([uid for uid, is_message in zip(uids, sent.places, strict=True) if not is_message])
        return [uid for uid, is_message in zip(uids, sent.places, strict=True) if is_message]


@dataclass
class _Sent:
    """One APPEND and its messages. `places`: in the order of what was sent; False is a placeholder."""

    append: Append
    messages: list[Listed] = field(default_factory=list)
    places: list[bool] = field(default_factory=list)

    @property
    def first_uid(self) -> int:
        """The UID on the source of the first message, or in whose place the first placeholder is."""
        return self.messages[0].uid - self.places.index(True)


class _Relay:
    """Receives messages and puts each batch into one APPEND, or each message where the server has no MULTIAPPEND."""

    def __init__(self, copy: BulkCopy, todo: list[list[Listed]]) -> None:
        self._copy = copy
        self._session, self._name = copy.destination.session, copy.destination.name
        self._multi = self._session.has("MULTIAPPEND")
        self._in_order = copy.may_end is not None
        self._pace = copy.pace if copy.pace.is_limited else None  # a call for each message costs more than it seems
        self._expected = {message.uid: (number, message) for number, batch in enumerate(todo) for message in batch}
        self._batch = -1
        self._next_uid = 0  # of what would come next without a gap
        self._sent: _Sent | None = None  # the APPEND that is open
        self._missing = 0  # UIDs before this message, for which placeholders go
        self._message: Listed | None = None  # the one that is being received, with the size that it has
        self._wanted = False  # the destination takes it
        self._suspect = False

    def begin(self, uid: int, size: int) -> None:
        if not uid and len(self._expected) == 1:
            uid = next(iter(self._expected))
        self._wanted = self._suspect = False
        self._message = message = self._expect(uid)
        if message is None:
            return  # not asked for, or come before: it is read and not relayed
        if not size and message.size:
            self._message = None  # it is listed with a text, and given without: it is tried alone
            self._next_uid = uid - self._missing  # nothing was sent in its place
            return
        if message.size != size:
            self._message = replace(message, size=size)
        if self._pace is not None:
            self._pace.wait(messages=1)
        if self._sent is None:
            self._sent = _Sent(Append(self._session, self._name))
        if self._missing and self._copy.placeholders is not None:
            self._copy.placeholders.put(self._sent.append, self._missing)
            self._sent.places += [False] * self._missing
        self._wanted = self._sent.append.begin_message(message.flags, message.date, size)

    def _expect(self, uid: int) -> Listed | None:
        """The message, if it was asked for and has not come yet; another batch than before begins a new APPEND."""
        number, message = self._expected.pop(uid, (0, None))
        if message is None or (self._in_order and uid < self._next_uid):
            return None
        self._missing = self._to_fill(uid)
        if number != self._batch or (self._in_order and uid != self._next_uid + self._missing):
            self.end_append()
            self._batch = number
        self._next_uid = uid + 1
        return None if self._copy.outcome.stopped else message

    def _to_fill(self, uid: int) -> int:
        """How many placeholders go before this message."""
        missing = uid - self._next_uid if self._next_uid else 0
        fillers = self._copy.placeholders
        return missing if self._multi and fillers is not None and fillers.may_fill(missing) else 0

    def data(self, chunk: bytes) -> None:
        self._suspect = self._suspect or b"\0" in chunk
        if self._wanted and self._sent is not None:
            if self._pace is not None:
                self._pace.wait(octets=len(chunk))
            self._sent.append.write(chunk)

    def end(self, uid: int) -> None:
        message, self._message = self._message, None
        if message is None or self._sent is None:
            return
        self._sent.messages.append(message)
        self._sent.places.append(True)
        if self._suspect:
            self._copy.outcome.suspects.add(message.uid)
        if not self._wanted or not self._multi:
            self.end_append()

    def being_sent(self) -> list[Listed]:
        """The messages of the APPEND that is open."""
        return [*(self._sent.messages if self._sent else []), *([self._message] if self._message else [])]

    def awaited(self) -> int | None:
        """The message at which the source stands: the one that is being read, or the next one asked for."""
        return self._message.uid if self._message else next(iter(self._expected), None)

    def end_append(self) -> None:
        """The APPEND that is open ends here."""
        if self._sent is not None:
            self._copy.end(self._sent)
            self._sent = None

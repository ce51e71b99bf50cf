"""Messages that the bulk copy leaves alone are copied one by one, each literal agreed to by the destination."""

from bascule.mailbox.imap.append import Append
from bascule.mailbox.imap.errors import FolderBusy, Refused, TransientError, passes_by_itself
from bascule.mailbox.imap.fetch import begin_bodies, list_messages
from bascule.mailbox.imap.listing import Listed
from bascule.mailbox.messages.as_listed import select_as_listed
from bascule.mailbox.workers import Side


class NotGiven(Exception):
    """Raised when the source lists a message and does not give its text. `text`: what it says."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class SingleCopy:
    """Copies single messages from a folder to another; `uidvalidity` is the destination's."""

    def __init__(self, source: Side, destination: Side, uidvalidity: int) -> None:
        self.source, self.destination, self.uidvalidity = source, destination, uidvalidity

    def copy(self, message: Listed) -> int | None:
        """The new UID (0: the destination did not say); None when the message is gone from the source.

        Raises Refused (by the destination), NotGiven, QuotaReached, NotUnderstood, TransientError.
        """
        session = self.source.session
        select_as_listed(self.source, [message])
        relay = _Relay(self.destination, message)
        words = ""
        try:
            session.finish(begin_bodies(session, [message.uid], relay))
        except Refused as error:
            if passes_by_itself(error) and error.code != "SERVERBUG":
                raise FolderBusy(error) from None
            words = error.text
        if relay.append is not None:
            return self._new_uid(relay.append)
        if list_messages(session, self.source.name, [message.uid]):
            raise NotGiven(words or "it gives an empty text, or none at all, and says OK")
        return None

    def append(self, message: Listed, text: bytes) -> int:
        """Append this text in the message's stead, with its flags and date; the new UID as in `copy`."""
        relay = _Relay(self.destination, message)
        relay.begin(message.uid, len(text))
        relay.data(text)
        relay.end(message.uid)
        assert relay.append is not None
        return self._new_uid(relay.append)

    def _new_uid(self, append: Append) -> int:
        uids = append.finish(self.uidvalidity)
        return uids[0] if len(uids) == 1 else 0


class _Relay:
    """Receives one message and puts it into an APPEND."""

    def __init__(self, destination: Side, message: Listed) -> None:
        self._destination, self._message = destination, message
        self.append: Append | None = None
        self._wanted = False

    def begin(self, uid: int, size: int) -> None:
        if not size and self._message.size:
            return  # it is listed with a text, and given without
        self.append = Append(self._destination.session, self._destination.name, synchronising=True)
        self._wanted = self.append.begin_message(self._message.flags, self._message.date, size)

    def data(self, chunk: bytes) -> None:
        if self._wanted and self.append is not None:
            self.append.write(chunk)

    def end(self, uid: int) -> None:
        if uid not in (0, self._message.uid):
            self._destination.session.wire.close()  # nothing of it may be stored
            raise TransientError("the source sent another message than the one asked for")
        if self.append is not None:
            self.append.end()

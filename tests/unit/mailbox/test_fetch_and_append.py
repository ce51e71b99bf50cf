"""The only FETCH of whole messages and the only APPEND, as conversations line by line."""

from collections.abc import Callable

import pytest
from bascule.mailbox.imap import append
from bascule.mailbox.imap.append import Append
from bascule.mailbox.imap.errors import NotUnderstood, QuotaReached, Refused, TransientError
from bascule.mailbox.imap.fetch import begin_bodies, list_from
from bascule.mailbox.imap.session import Session

from tests.unit.mailbox.test_hostile_server import Answer, Scripted, after_login, polite, serve

__all__ = ["serve"]
Serve = Callable[..., tuple[Session, Scripted]]
FLAGS = frozenset((b"\\Seen", b"odd]keyword"))


class Receiver:
    """Writes down what it receives: UID as it was announced, size, text, UID at the end."""

    def __init__(self) -> None:
        self.received: list[tuple[int, int, bytes, int]] = []

    def begin(self, uid: int, size: int) -> None:
        self._begun = uid, size
        self._text = b""

    def data(self, chunk: bytes) -> None:
        self._text += chunk

    def end(self, uid: int) -> None:
        self.received.append((*self._begun, self._text, uid))


def telling(*lines: bytes) -> Answer:
    return after_login(lambda line: b"".join(lines) + line.split(b" ")[0] + b" OK done\r\n")


@pytest.mark.parametrize(
    ("told", "received"),
    [
        (b"(UID 7 BODY[] {5}\r\nhello)", (7, 5, b"hello", 7)),
        (b"(FLAGS (\\Seen) UID 7 BODY[] {5}\r\nhello)", (7, 5, b"hello", 7)),
        (b"(BODY[] {5}\r\nhello UID 7)", (0, 5, b"hello", 7)),
        (b"(BODY[] {5}\r\nhello FLAGS (UID 9 ) UID 7)", (0, 5, b"hello", 7)),
        (b"(UID 7 BODY[] {5}\r\nhello X {4}\r\n) 9\n)", (7, 5, b"hello", 7)),
        (b'(UID 7 BODY[] "hello")', (7, 5, b"hello", 7)),
        (b'(BODY[] "hello" UID 7)', (7, 5, b"hello", 7)),
        (b"(BODY[] {5}\r\nhello)", (0, 5, b"hello", 0)),
    ],
)
def test_whole_messages_in_every_form(serve: Serve, told: bytes, received: tuple[int, int, bytes, int]) -> None:
    session, _ = serve(telling(b"* 1 FETCH " + told + b"\r\n"))
    receiver = Receiver()
    session.finish(begin_bodies(session, [7], receiver))
    assert receiver.received == [received]


def test_a_message_that_is_gone_is_not_received(serve: Serve) -> None:
    session, _ = serve(telling(b"* 1 FETCH (UID 7 BODY[] NIL)\r\n", b"* 2 FETCH (FLAGS ())\r\n"))
    receiver = Receiver()
    session.finish(begin_bodies(session, [7], receiver))
    assert receiver.received == []


def test_the_last_message_is_not_listed_when_none_is_newer(serve: Serve) -> None:
    line = b'* 3 FETCH (UID %d FLAGS () INTERNALDATE "01-Feb-2020 10:00:00 +0000" RFC822.SIZE 5)\r\n'
    session, server = serve(telling(line % 8))
    assert len(list_from(session, b"INBOX", 9)) == 0
    assert [message.uid for message in list_from(session, b"INBOX", 8)] == [8]
    assert server.lines[-1].endswith(b"UID FETCH 8:* (UID FLAGS INTERNALDATE RFC822.SIZE)\r\n")


def appending(answer: bytes) -> Answer:
    """A server that answers the first line that ends a command which is not its own as told; the rest politely."""

    def reply(line: bytes) -> bytes:
        if b" APPEND " in line or line.startswith((b"hello", b"world")):
            return b"" if line.rstrip().endswith(b"+}") else answer
        return polite(line)

    return reply


def test_many_messages_in_one_append(serve: Serve) -> None:
    session, server = serve(appending(b"B4 OK [APPENDUID 1 5:6] done\r\n"))
    sending = Append(session, b"INBOX")
    for text in (b"hello", b"world"):
        assert sending.begin_message(FLAGS, 0, len(text))
        sending.write(text)
    sending.end()
    assert sending.finish(uidvalidity=1) == [5, 6]
    date = b'"01-Jan-1970 00:00:00 +0000"'
    assert server.lines[-3:] == [
        b'B4 APPEND "INBOX" (\\Seen) ' + date + b" {5+}\r\n", b"hello (\\Seen) " + date + b" {5+}\r\n", b"world\r\n",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"NO [OVERQUOTA] full", QuotaReached), (b"NO [TRYCREATE] no such folder", TransientError),
        (b"NO [UNAVAILABLE] later", TransientError), (b"NO [LIMIT] too large", Refused), (b"BAD what", NotUnderstood),
        (b"OK [APPENDUID 2 5] another folder by now", TransientError),
    ],
)  # fmt: skip
def test_what_a_server_says_to_an_append(serve: Serve, answer: bytes, error: type[Exception]) -> None:
    session, _ = serve(appending(b"B4 " + answer + b"\r\n"))
    sending = Append(session, b"INBOX")
    assert sending.begin_message(FLAGS, 0, 5)
    sending.write(b"hello")
    sending.end()
    with pytest.raises(error):
        sending.finish(uidvalidity=1)


def test_a_refused_synchronising_literal_is_not_sent(serve: Serve) -> None:
    session, server = serve(after_login(lambda line: line.split(b" ")[0] + b" NO [LIMIT] too large\r\n"))
    sending = Append(session, b"INBOX", synchronising=True)
    assert not sending.begin_message(FLAGS, 0, 5)
    sending.end()
    with pytest.raises(Refused):
        sending.finish(uidvalidity=1)
    assert server.lines[-1].endswith(b" {5}\r\n")


def test_a_command_that_was_answered_early_is_sent_to_its_end(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 7888 section 4: the server reads the literal all the same, and without an end of line the next command."""
    monkeypatch.setattr(append, "CHUNK", 1)
    session, server = serve(
        lambda line: (
            b"B4 NO [LIMIT] too large\r\n" if b" APPEND " in line else b"" if line == b"hello\r\n" else polite(line)
        )
    )
    sending = Append(session, b"INBOX")
    assert sending.begin_message(FLAGS, 0, 5)
    while not sending.answered:
        session.wire.flush()
        session.pump()
    sending.write(b"hello")
    assert not sending.begin_message(FLAGS, 0, 5), "nothing more is announced"
    sending.end()
    with pytest.raises(Refused):
        sending.finish(uidvalidity=1)
    session.run(b"NOOP")
    assert server.lines[-2:] == [b"hello\r\n", b"B5 NOOP\r\n"]

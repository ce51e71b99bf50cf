"""A server that lies, floods or breaks off: the session ends, and nothing of it is executed, held or believed."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from bascule.hosts.login import Endpoint, Login
from bascule.mailbox.imap import connection
from bascule.mailbox.imap.errors import MailboxFailed, NotUnderstood, ProtocolError, TransientError
from bascule.mailbox.imap.login import log_in
from bascule.mailbox.imap.server import Server
from bascule.mailbox.imap.session import Session

from tests.imap_relay import Answer, Scripted, after_login, polite


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[Session, Scripted]]]:
    with ExitStack() as stack:

        def start(answer: Answer, greeting: bytes = b"* OK ready\r\n") -> tuple[Session, Scripted]:
            server = Scripted(answer, greeting)
            stack.callback(server.close)
            endpoint = Endpoint("127.0.0.1", server.port, "plain", timeout=5.0)
            session = log_in(Server(endpoint, Login("ann", "secret")))
            stack.callback(session.close)
            return session, server

        yield start


def test_bad_ends_the_connection_at_once(serve: Callable[..., tuple[Session, Scripted]]) -> None:
    session, _ = serve(after_login(lambda line: line.split(b" ")[0] + b" BAD what\r\n"))
    with pytest.raises(NotUnderstood):
        session.run(b"NOOP")
    assert session.wire.lost


def test_a_line_without_end_is_not_held(
    serve: Callable[..., tuple[Session, Scripted]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LONGEST_LINE", 100_000)
    session, _ = serve(after_login(lambda line: b"* " + b"x" * 1_000_000))
    with pytest.raises(ProtocolError, match="line of more than"):
        session.run(b"NOOP")


def test_a_huge_literal_where_a_name_belongs_is_not_held(serve: Callable[..., tuple[Session, Scripted]]) -> None:
    session, _ = serve(after_login(lambda line: b'* LIST () "/" {999999999}\r\n'))
    with pytest.raises(ProtocolError, match="999999999 bytes"):
        session.run(b"LIST")


def test_lists_in_lists_in_lists_end(serve: Callable[..., tuple[Session, Scripted]]) -> None:
    session, _ = serve(after_login(lambda line: b"* FETCH " + b"(" * 10_000 + b"\r\n"))
    with pytest.raises(ProtocolError):
        session.run(b"NOOP")


def test_an_answer_to_nothing_is_not_believed(serve: Callable[..., tuple[Session, Scripted]]) -> None:
    session, _ = serve(after_login(lambda line: b"B99 OK [APPENDUID 1 1] yes\r\n"))
    with pytest.raises(ProtocolError):
        session.run(b"NOOP")


def test_bye_is_trouble_that_passes(serve: Callable[..., tuple[Session, Scripted]]) -> None:
    session, _ = serve(after_login(lambda line: b"* BYE [UNAVAILABLE] going down\r\n"))
    with pytest.raises(TransientError, match="going down"):
        session.run(b"NOOP")


def test_a_refused_login_needs_a_person(serve: Callable[..., tuple[Session, Scripted]]) -> None:
    def answer(line: bytes) -> bytes:
        return polite(line) if b"CAPABILITY" in line else line.split(b" ")[0] + b" NO [AUTHENTICATIONFAILED] no\r\n"

    with pytest.raises(MailboxFailed, match="refuses the login of `ann`"):
        serve(answer)


def test_a_login_refused_for_now_is_tried_again(serve: Callable[..., tuple[Session, Scripted]]) -> None:
    def answer(line: bytes) -> bytes:
        return polite(line) if b"CAPABILITY" in line else line.split(b" ")[0] + b" NO [UNAVAILABLE] later\r\n"

    with pytest.raises(TransientError):
        serve(answer)


def test_the_password_is_in_no_error(serve: Callable[..., tuple[Session, Scripted]]) -> None:
    def answer(line: bytes) -> bytes:
        return polite(line) if b"CAPABILITY" in line else line.split(b" ")[0] + b" BAD no\r\n"

    with pytest.raises(NotUnderstood) as caught:
        serve(answer)
    assert "secret" not in str(caught.value)


def test_no_server_at_all() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TransientError, match="can't be reached"):
        log_in(Server(Endpoint("127.0.0.1", port, "plain", timeout=2.0), Login("ann", "secret")))

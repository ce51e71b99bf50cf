"""The ManageSieve client against a server that says exactly what a test wants (loopback, no TLS)."""

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from bascule.access import Endpoint, Login
from bascule.sieve.managesieve import ManageSieve, ManageSieveError, Refused, connected, warnings_in

GREETING = b'"IMPLEMENTATION" "x"\r\n"SASL" "PLAIN"\r\n"SIEVE" "fileinto copy"\r\nOK "ready"\r\n'
MARIE = Login("marie*admin", "s3cret")


@dataclass
class Talk:
    """A server that answers each line or literal in turn; `heard` is everything that the client sent."""

    port: int
    heard: bytearray = field(default_factory=bytearray)


@contextlib.contextmanager
def server(*answers: bytes, greeting: bytes = GREETING) -> Iterator[Talk]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        talk = Talk(listening.getsockname()[1])
        thread = threading.Thread(target=_talk, args=(listening, talk, greeting, answers), daemon=True)
        thread.start()
        yield talk
        thread.join(5)


def _talk(listening: socket.socket, talk: Talk, greeting: bytes, answers: tuple[bytes, ...]) -> None:
    connection, _ = listening.accept()
    with connection, contextlib.suppress(OSError):
        connection.sendall(greeting)
        for answer in answers:
            talk.heard += connection.recv(65536)
            connection.sendall(answer)
        while data := connection.recv(65536):
            talk.heard += data
            connection.sendall(b"OK\r\n")


def endpoint(talk: Talk) -> Endpoint:
    return Endpoint("127.0.0.1", talk.port, "plain", timeout=5.0)


@contextlib.contextmanager
def client(*answers: bytes) -> Iterator[tuple[ManageSieve, Talk]]:
    with server(b'OK "in"\r\n', *answers) as talk, connected(endpoint(talk), MARIE) as opened:
        yield opened, talk


def test_the_login_is_plain_for_another_identity() -> None:
    with server(b'OK "in"\r\n') as talk, connected(endpoint(talk), Login("admin", "s3cret", "marie")):
        pass
    sent = talk.heard.split(b"\r\n")[1]
    assert base64.b64decode(sent) == b"marie\0admin\0s3cret"


def test_the_extensions_are_read() -> None:
    with client(GREETING.replace(b"copy", b"reject")) as (opened, _):
        assert opened.extensions == {"fileinto", "reject"}


def test_scripts_in_every_form_of_string() -> None:
    with client(b'"a b" ACTIVE\r\n{5}\r\n"q"\xc3\xa9\r\n"c\\"\\\\"\r\nOK "done"\r\n') as (opened, _):
        assert opened.scripts() == {"a b": True, '"q"é': False, 'c"\\': False}


def test_a_script_is_read_to_the_byte() -> None:
    script = b'OK "not an answer"\r\nNO\nkeep;\r\r\n\xe9\0'
    with client(b"{%d}\r\n%s\r\nOK\r\n" % (len(script), script)) as (opened, _):
        assert opened.get("a") == script


def test_an_empty_script_is_read() -> None:
    with client(b'""\r\nOK\r\n') as (opened, _):
        assert opened.get("a") == b""


def test_warnings_are_read() -> None:
    words = b"main: line 1: warning: header 'Subject:' is invalid.\r\nmain: line 2: warning: x: y.\r\n"
    with client(b"OK (WARNINGS) {%d}\r\n%s\r\n" % (len(words), words)) as (opened, _):
        verdict = opened.check(b"keep;")
    assert verdict.accepted
    assert verdict.warnings == ["header 'Subject:' is invalid.", "x: y."]


def test_errors_are_a_verdict_in_the_servers_words() -> None:
    with client(b'NO "line 1: error: \\"x\\""\r\n') as (opened, talk):
        verdict = opened.put("mé", b"bad\r\n")
    assert (verdict.accepted, verdict.words, verdict.warnings) == (False, 'line 1: error: "x"', [])
    assert 'PUTSCRIPT "mé" {5+}\r\nbad\r\n\r\n'.encode() in bytes(talk.heard)


def test_other_refusals_are_raised_with_their_code() -> None:
    with (
        client(b'NO (QUOTA/MAXSIZE) "too long"\r\n') as (opened, _),
        pytest.raises(Refused, match="too long") as refused,
    ):
        opened.put("a", b"keep;")
    assert refused.value.code == "QUOTA/MAXSIZE"


def test_a_response_code_may_hold_strings() -> None:
    with client(b'NO (TAG "a ) b") "why"\r\n') as (opened, _), pytest.raises(Refused, match="why"):
        opened.set_active("a")


def test_a_name_can_inject_no_command() -> None:
    with client(b"OK\r\n") as (opened, talk):
        opened.delete('a"\r\nLOGOUT')
    assert b'DELETESCRIPT {10+}\r\na"\r\nLOGOUT\r\n' in bytes(talk.heard)


def test_a_refused_login_names_who_and_where_but_not_the_password() -> None:
    with server(b'NO "bad"\r\n') as talk, pytest.raises(ManageSieveError) as refused, connected(endpoint(talk), MARIE):
        pass
    assert "marie*admin" in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_the_login_is_never_sent_in_the_clear_where_tls_is_asked_for() -> None:
    with server() as talk:
        asked = Endpoint("127.0.0.1", talk.port, "starttls", timeout=5.0)
        with pytest.raises(ManageSieveError, match="no STARTTLS"), connected(asked, MARIE):
            pass
    assert b"AUTHENTICATE" not in talk.heard


@pytest.mark.parametrize(
    "answer", [b"", b"{100}\r\nshort", b'"a', b"BYE (TRYLATER) {2}\r\nxx\r\n", b"{99999999999}\r\n", b"(\r\n"]
)
def test_a_broken_server_is_an_error_at_once(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def talk() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(GREETING)
                for words in (b"OK\r\n", answer):
                    connection.recv(65536)
                    connection.sendall(words)

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        with (
            pytest.raises(ManageSieveError),
            connected(Endpoint("127.0.0.1", port, "plain", timeout=5.0), MARIE) as opened,
        ):
            opened.get("a")
        thread.join(5)


def test_nobody_there_is_an_error_that_says_where() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with (
        pytest.raises(ManageSieveError, match=f"127.0.0.1:{port}"),
        connected(Endpoint("127.0.0.1", port, "plain"), MARIE),
    ):
        pass


def test_warnings_lose_their_place() -> None:
    assert warnings_in("x: line 3: warning: a.\r\nline 1: warning: b: c.\nline 2: error: d.\n") == ["a.", "b: c."]


def test_a_goodbye_is_told_in_the_servers_words() -> None:
    with client(b'BYE (TRYLATER) "too busy"\r\n') as (opened, _), pytest.raises(ManageSieveError, match="too busy"):
        opened.scripts()

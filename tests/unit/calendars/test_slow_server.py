"""A server that answers without end: one request takes a limited time and memory, and half an answer is none."""

import contextlib
import gzip
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from bascule.calendars.dav import limits
from bascule.calendars.dav.client import Session
from bascule.calendars.dav.http import DavError

from lab.hosts.tls import Authority

DRIPS = 150  # then the answer ends as it should: who waits for it hangs for some seconds, not for ever
HEAD = b"HTTP/1.1 200 OK\r\n"
PROMPT = HEAD + b"Content-Length: 2\r\n\r\nok"


class Server(socketserver.ThreadingTCPServer):
    """Does with the nth request what `answers[n]` says, and with all further ones what the last does."""

    daemon_threads = True

    def __init__(self, answers: list[Callable[[Any], None]], tls: ssl.SSLContext | None) -> None:
        self.answers, self.tls, self.asked, self.ending = answers, tls, 0, threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    def get_request(self) -> Any:
        connected, address = super().get_request()
        if self.tls:  # the handshake comes with the first read, in the handler's thread
            connected = self.tls.wrap_socket(connected, server_side=True, do_handshake_on_connect=False)
        return connected, address

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.server_address[1]}"


class Handler(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client has gone
            while self.rfile.readline():
                while self.rfile.readline().strip():
                    pass
                answer = self.server.answers[min(self.server.asked, len(self.server.answers) - 1)]
                self.server.asked += 1
                answer(self)
                if answer is not promptly:
                    return

    def drip(self, times: int = DRIPS) -> None:
        for _ in range(times):
            self.wfile.write(b"x")
            self.server.ending.wait(0.02)


def promptly(to: Handler) -> None:
    to.wfile.write(PROMPT)


def headers(to: Handler) -> None:
    to.wfile.write(HEAD + b"X-Slow: ")
    to.drip()
    to.wfile.write(b"\r\nContent-Length: 0\r\n\r\n")


def body_of_a_length(to: Handler) -> None:
    to.wfile.write(HEAD + b"Content-Length: %d\r\n\r\n" % DRIPS)
    to.drip()


def body_until_the_end(to: Handler) -> None:
    """Its end looks the same as a connection that was shut."""
    to.wfile.write(HEAD + b"Connection: close\r\n\r\n")
    to.drip()


def a_little(to: Handler) -> None:
    """Trouble that passes, in less time than the limit."""
    to.wfile.write(HEAD + b"Content-Length: 1000\r\n\r\n")
    to.drip(10)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[ssl.SSLContext | None, ssl.SSLContext]]:
    """By kind of connection: what the server and what the client has for TLS."""
    folder: Path = tmp_path_factory.mktemp("tls")
    authority = Authority(folder)
    certificate = authority.issue("new")
    (folder / "server.pem").write_text(certificate.chain + certificate.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem")
    client = ssl.create_default_context(cadata=authority.pem)
    client.check_hostname = False  # it is on loopback
    return {"plain": (None, client), "tls": (server, client)}


@pytest.fixture(params=["plain", "tls"])
def serve(contexts: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., tuple[Server, Session]]]:
    running: list[tuple[Server, Session]] = []
    tls, verify = contexts[request.param]

    def start(*answers: Callable[[Any], None]) -> tuple[Server, Session]:
        server = Server(list(answers), tls)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        client = httpx.Client(base_url=server.url, verify=verify, trust_env=False)
        running.append((server, Session(client, lambda _: None)))
        return running[-1]

    yield start
    for server, session in running:
        session.close()
        server.ending.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    return lambda seconds: monkeypatch.setattr(limits, "SECONDS", seconds)


@pytest.mark.parametrize("answer", [headers, body_of_a_length, body_until_the_end], ids=lambda way: way.__name__)
def test_an_answer_that_drips_is_broken_off_and_not_taken_for_whole(serve: Any, limit: Any, answer: Any) -> None:
    server, session = serve(answer)
    limit(0.3)
    said = rf"GET {server.url}/c/a.ics was broken off, since it wasn't answered to the end within 0.3 seconds .*: see"
    with pytest.raises(DavError, match=said):
        session.request("GET", "/c/a.ics")
    assert server.asked <= 1


def test_an_answer_that_drips_over_a_connection_in_use_is_broken_off(serve: Any, limit: Any) -> None:
    server, session = serve(promptly, headers)
    assert session.request("GET", "/c/a.ics").content == b"ok"
    limit(0.3)
    with pytest.raises(DavError, match="broken off"):
        session.request("GET", "/c/b.ics")
    assert server.asked <= 2


def test_all_tries_of_a_request_have_one_limit(serve: Any, limit: Any) -> None:
    server, session = serve(a_little)
    limit(0.3)
    with pytest.raises(DavError, match="broken off"):
        session.request("GET", "/c/a.ics")
    assert server.asked < 4


def test_the_request_after_one_that_was_broken_off_has_a_limit_of_its_own(serve: Any, limit: Any) -> None:
    _, session = serve(body_until_the_end, promptly)
    limit(0.3)
    with pytest.raises(DavError, match="broken off"):
        session.request("GET", "/c/a.ics")
    limit(60.0)
    assert session.request("GET", "/c/a.ics").content == b"ok"


def answering(content: bytes, **headers: str) -> Session:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, stream=httpx.ByteStream(content)))
    return Session(httpx.Client(base_url="http://old.test", transport=transport), lambda _: None)


def test_an_answer_that_is_too_large_when_unpacked_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BYTES", 5000)
    packed = {"content-encoding": "gzip"}
    with pytest.raises(DavError, match=r"GET http://old.test/c/ was answered with more than 5,000 bytes: look"):
        answering(gzip.compress(b"x" * 5001), **packed).request("GET", "/c/")
    assert answering(gzip.compress(b"x" * 5000), **packed).request("GET", "/c/").content == b"x" * 5000


def test_an_answer_that_is_packed_several_times_is_not_unpacked() -> None:
    twice = gzip.compress(gzip.compress(b"x" * 100))
    with pytest.raises(DavError, match=r"was answered with a body that is packed several times \(gzip, gzip\)"):
        answering(twice, **{"content-encoding": "gzip, gzip"}).request("GET", "/c/")

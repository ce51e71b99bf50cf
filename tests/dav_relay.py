"""A relay between Bascule and a real CalDAV server that does one wrong thing at the n-th request, or from it on."""

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import httpx

Fault = Literal[
    "gone",  # cut before the server sees the request, and every further one too
    "gone after",  # the server does it, the answer is lost, and every further request is cut
    "answer lost",  # the server does it, the answer is lost; further requests pass
    "busy",  # 503, and every further request too
    "broken",  # 500, once
    "slow",  # the server does it, the answer comes later than the client waits
    "wrong condition",  # the server is given another etag than the client's
    "wrong etag",  # the answer tells another etag than the server's
]
LASTING = ("gone", "gone after", "busy")
PASSED_ON = ("authorization", "content-type", "depth", "if-match", "if-none-match", "x-webobjects-remote-user")
PASSED_BACK = ("content-type", "etag", "location")


@dataclass
class Faults:
    """What goes wrong, and at which request from `arm` on. `met`: whether it has come to that."""

    kind: Fault | None = None
    at: int = 0
    slowness: float = 0.0  # seconds
    requests: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, kind: Fault | None, at: int = 0) -> None:
        with self.lock:
            self.kind, self.at = kind, at
            self.requests.clear()

    @property
    def met(self) -> bool:
        return bool(self.kind) and len(self.requests) >= self.at

    def next(self, method: str) -> Fault | None:
        """Count a request; what goes wrong with it."""
        with self.lock:
            self.requests.append(method)
            number = len(self.requests)
            if self.kind is None or number < self.at or (number > self.at and self.kind not in LASTING):
                return None
            return "gone" if self.kind == "gone after" and number > self.at else self.kind


@contextlib.contextmanager
def relay(target: str, trust: ssl.SSLContext, faults: Faults) -> Iterator[str]:
    """A relay on loopback to the server at `target`; gives its own URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    with httpx.Client(base_url=target, verify=trust, timeout=60.0, trust_env=False) as client:
        server.client, server.faults = client, faults  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _relay(self) -> None:
        faults: Faults = self.server.faults  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = faults.next(self.command)
        if fault == "gone":
            return self._cut()
        if fault in ("busy", "broken"):
            return self._answer(503 if fault == "busy" else 500, {}, b"<html>out of order</html>")
        response = self._asked(body, wrong=fault == "wrong condition")
        if fault in ("gone after", "answer lost"):
            return self._cut()
        if fault == "slow":
            time.sleep(faults.slowness)
        content = response.content
        if fault == "wrong etag":
            content = re.sub(rb"(getetag[^>]*>)[^<]*", rb"\g<1>&quot;wrong&quot;", content)
        kept = {name: response.headers[name] for name in PASSED_BACK if name in response.headers}
        return self._answer(response.status_code, kept, content)

    def _asked(self, body: bytes, *, wrong: bool) -> httpx.Response:
        headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
        if wrong and "if-match" in headers:
            headers["if-match"] = '"wrong"'
        client: httpx.Client = self.server.client  # type: ignore[attr-defined]
        return client.request(self.command, self.path, content=body, headers=headers)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        with contextlib.suppress(OSError):  # a client that no longer waits
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_PUT = do_DELETE = do_PROPFIND = do_PROPPATCH = do_REPORT = do_MKCALENDAR = do_MKCOL = do_POST = _relay

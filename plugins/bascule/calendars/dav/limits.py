"""Limits of one request to a calendar server: how long it may take, and how large its answer may be.

httpx limits each read by itself, so a server that sends a byte a minute would hold a task for ever.
"""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import httpx

SECONDS = 600.0  # for one request: all its tries together, with the pauses between them
BYTES = 256 * 2**20  # of one answer, unpacked
CONNECTED = ("connect_tcp.complete", "start_tls.complete")
OF_THE_WIRE = {b"content-encoding", b"content-length", b"transfer-encoding"}  # headers that say how a body was sent


class TooLarge(Exception):
    """Raised when an answer is larger than BYTES, or may be when it is unpacked."""


class Watch:
    """Shuts the connection of one client, which makes one request at a time, when a request takes too long."""

    def __init__(self) -> None:
        self._stream: Any = None  # httpcore's; the last that was made is the one in use
        self.over = False  # whether the time was over: whatever was read by then may be half an answer

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """What httpx tells of its connections, by its extension `trace`; a request may come by an earlier one."""
        if event.endswith(CONNECTED):
            self._stream = info["return_value"]
            if self.over:  # during the connecting, when there was nothing to shut yet
                self._shut()

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """While one request is made: after so many seconds `over` becomes true and every read and write ends."""
        self.over = False
        timer = threading.Timer(seconds, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()  # or it might still shut the connection under the next request

    def _end(self) -> None:
        self.over = True  # first: who sees the end of a read must see why
        if self._stream is not None:
            self._shut()

    def _shut(self) -> None:
        with suppress(OSError):  # closed already
            # Not by the method of ssl.SSLSocket: that one leaves TLS first, and what is written just then is readable.
            socket.socket.shutdown(self._stream.get_extra_info("socket"), socket.SHUT_RDWR)


def whole(response: httpx.Response) -> httpx.Response:
    """The answer with all of its body, from one that is a stream. Raises TooLarge, and what httpx raises."""
    codings = response.headers.get_list("content-encoding", split_commas=True)
    if len(codings) > 1:  # each one makes a thousand times more of it, and httpx unpacks all at once
        raise TooLarge(f"a body that is packed several times ({', '.join(codings)})")
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > BYTES:
            raise TooLarge(f"more than {BYTES:,} bytes")
    headers = [(name, value) for name, value in response.headers.raw if name.lower() not in OF_THE_WIRE]  # any octets
    return httpx.Response(response.status_code, headers=headers, content=bytes(body), request=response.request)

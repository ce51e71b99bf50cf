"""A relay between the engine and a server that cuts the connection after the n-th command: executed, answer lost.

One `Faults` counts the commands of all relays that share it, over all connections.
"""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator

_LITERAL = re.compile(rb"\{(\d+)(\+?)\}\r\n\Z")


class Faults:
    """When to cut: after the `cut_after`-th command from now (None: never). `count`: commands seen."""

    def __init__(self) -> None:
        self.count = 0
        self.cut_after: int | None = None
        self.lock = threading.Lock()

    def arm(self, cut_after: int | None) -> None:
        with self.lock:
            self.count, self.cut_after = 0, cut_after

    def command(self) -> bool:
        """One more command was sent whole; True when its connection is to be cut."""
        with self.lock:
            self.count += 1
            if self.cut_after is not None and self.count == self.cut_after:
                self.cut_after = None
                return True
            return False


@contextlib.contextmanager
def relay(port: int, faults: Faults) -> Iterator[int]:
    """A relay to a port of loopback; gives its own port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_Connection(client, port, faults).run, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


class _Connection:
    def __init__(self, client: socket.socket, port: int, faults: Faults) -> None:
        self.client, self.faults = client, faults
        self.server = socket.create_connection(("127.0.0.1", port))
        self.cut_tag: bytes | None = None
        self._line = b""
        self._literal = 0
        self._tag = b""
        self._ended_tag = b""

    def run(self) -> None:
        answers = threading.Thread(target=self._answers, daemon=True)
        answers.start()
        try:
            while data := self.client.recv(65536):
                while data:
                    piece, data, ended = self._next(data)
                    if ended and self.faults.command():
                        self.cut_tag = self._ended_tag  # the answer's thread cuts when this tag comes
                        self.server.sendall(piece)
                        answers.join(20)
                        return
                    self.server.sendall(piece)
        except OSError:
            pass
        finally:
            self._close(self.server)

    def _next(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """Split off what belongs together: (piece to send, the rest, whether a command has ended with it)."""
        if self._literal:
            piece, rest = data[: self._literal], data[self._literal :]
            self._literal -= len(piece)
            return piece, rest, False
        end = data.find(b"\n")
        if end < 0:
            self._line += data
            return data, b"", False
        piece, rest = data[: end + 1], data[end + 1 :]
        line, self._line = self._line + piece, b""
        if not self._tag:
            self._tag = line.split(b" ", 1)[0]
        literal = _LITERAL.search(line)
        if literal:
            self._literal = int(literal[1])
            return piece, rest, False
        self._ended_tag, self._tag = self._tag, b""
        return piece, rest, True

    def _answers(self) -> None:
        held = b""
        try:
            while data := self.server.recv(65536):
                held += data
                tag = self.cut_tag
                if tag is not None and (b"\r\n" + tag + b" " in b"\r\n" + held):
                    break
                cut = held.rfind(b"\n") + 1
                if tag is None:
                    self.client.sendall(held)
                    held = b""
                elif cut:
                    held = held[max(0, cut - 2) :] if len(held) > 1_000_000 else held
        except OSError:
            pass
        self._close(self.client)
        self._close(self.server)

    @staticmethod
    def _close(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()

"""A relay between the engine and a server that replaces octets: for what no server at hand says by itself."""

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence

Pairs = Sequence[tuple[bytes, bytes]]


@contextlib.contextmanager
def replacing(port: int, *, from_server: Pairs = (), to_server: Pairs = ()) -> Iterator[int]:
    """A relay to a port of loopback; gives its own port. What is replaced must come within one read."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", port))
            for one, other, pairs in ((client, server, to_server), (server, client, from_server)):
                threading.Thread(target=_carry, args=(one, other, pairs), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _carry(one: socket.socket, other: socket.socket, pairs: Pairs) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            for old, new in pairs:
                data = data.replace(old, new)
            other.sendall(data)
    for end in (one, other):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

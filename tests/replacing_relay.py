"""A relay between the engine and a server that replaces octets: for what no server at hand says by itself."""

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence

Pairs = Sequence[tuple[bytes, bytes]]


@contextlib.contextmanager
def replacing(
    port: int, *, from_server: Pairs = (), to_server: Pairs = (), said: list[bytes] | None = None
) -> Iterator[int]:
    """A relay to a port of loopback; gives its own port. What is replaced must come within one read.

    `said` collects what clients send.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", port))
            for one, other, pairs, heard in ((client, server, to_server, said), (server, client, from_server, None)):
                threading.Thread(target=_carry, args=(one, other, pairs, heard), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _carry(one: socket.socket, other: socket.socket, pairs: Pairs, heard: list[bytes] | None) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            if heard is not None:
                heard.append(data)
            for old, new in pairs:
                data = data.replace(old, new)
            other.sendall(data)
    for end in (one, other):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

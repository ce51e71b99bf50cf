"""One SSH connection for many threads: sshd allows ten sessions in it, and one that is refused closes it for all."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from bascule.hosts.remembered import Remembered
from bascule.hosts.ssh import Finished, RemoteHost

AT_ONCE = 4

Answer = TypeVar("Answer")


class SharedHost:
    """A RemoteHost that several threads may use: a few commands at once, the first one (which connects) alone."""

    def __init__(self, host: RemoteHost) -> None:
        self.name = host.name
        self._host = host
        self._few = threading.Semaphore(AT_ONCE)
        self._first = threading.Lock()
        self._connected = False

    def lately(self, known: Remembered[Answer], ask: Callable[[], Answer]) -> Answer:
        """What is known of this host, or what `ask` says now: whoever moves takes up one account after the other."""
        return known.of(self._host, ask)

    def run(
        self,
        command: Sequence[str],
        *,
        input: bytes = b"",
        check: bool = True,
        sudo: bool = True,
        timeout: float = 120.0,
        private: bool = False,
    ) -> Finished:
        """As RemoteHost.run."""
        with self._turn():
            return self._host.run(command, input=input, check=check, sudo=sudo, timeout=timeout, private=private)

    def read_file(self, path: str) -> bytes | None:
        """As RemoteHost.read_file."""
        with self._turn():
            return self._host.read_file(path)

    def write_file(self, path: str, data: bytes, *, mode: str = "0644") -> None:
        """As RemoteHost.write_file."""
        with self._turn():
            self._host.write_file(path, data, mode=mode)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._connected:
            with self._first:
                if not self._connected:
                    yield
                    self._connected = True
                    return
        with self._few:
            yield

"""This machine in the place of a host that is reached by SSH; what runs there runs here, as it is."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bascule.hosts.connections import AccessError
from bascule.hosts.remembered import Remembered
from bascule.hosts.ssh import CommandFailed, Finished


@dataclass
class LocalHost:
    """`changed`: what becomes of a command before it runs (another configuration, say)."""

    name: str = "old"
    changed: Callable[[list[str]], list[str]] = lambda command: command

    def run(self, command: Sequence[str], *, check: bool = True, input: bytes = b"", **_: object) -> Finished:
        words = self.changed(list(command))
        try:
            done = subprocess.run(words, capture_output=True, input=input, check=False)
        except FileNotFoundError:
            done = subprocess.CompletedProcess(words, 127, b"", b"command not found")
        finished = Finished(
            done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"), 0
        )
        if check and finished.status:
            raise CommandFailed(self.name, words, finished)
        return finished

    def lately(self, known: Remembered[Any], ask: Callable[[], Any]) -> Any:
        """Nothing is known of it: each test has a Dovecot of its own."""
        return ask()

    def converse(self, command: Sequence[str], **_: object) -> "LocalConversation":
        return LocalConversation(self.changed(list(command)))

    def read_file(self, path: str) -> bytes | None:
        return Path(path).read_bytes() if Path(path).exists() else None


class LocalConversation:
    """A command on this machine that is written to and read from."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def write(self, data: bytes) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except OSError as error:
            raise AccessError(f"the command ended: {error}") from None

    def read_line(self) -> bytes:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise AccessError("the command ended")
        return line

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

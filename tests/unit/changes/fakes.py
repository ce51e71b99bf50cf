"""Hosts and changes that exist in memory only."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bascule import site as site_file
from bascule.changes.base import Change, ChangeFailed, State
from bascule.hosts.access import Access
from bascule.hosts.connections import Connection
from bascule.hosts.ssh import CommandFailed, Finished, RemoteHost
from bascule.site import Site

SITE = site_file.load(Path(__file__).parents[3] / "lab" / "site.yaml")
Answer = str | Finished | Callable[[Sequence[str]], str | Finished]


class FakeHost(RemoteHost):
    """Records the commands; answers those that begin with the words of `answers`; keeps files in memory."""

    def __init__(self, name: str = "old") -> None:
        self.name = name
        self.commands: list[str] = []
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []  # what commands were given to read, where it was anything

    def run(
        self,
        command: Sequence[str],
        *,
        input: bytes = b"",
        timeout: float = 120.0,
        check: bool = True,
        sudo: bool = True,
        private: bool = False,
    ) -> Finished:
        line = shlex.join(command)
        self.commands.append(line)
        self.asked += [input.decode(errors="replace")] * bool(input)
        finished = self._answer(command, line)
        if check and finished.status != 0:
            raise CommandFailed(self.name, command, finished)
        return finished

    def read_file(self, path: str) -> bytes | None:
        return self.files.get(path)

    def write_file(self, path: str, data: bytes, *, mode: str = "0644") -> None:
        self.commands.append(f"write {path}")
        self.files[path] = data

    def remove_file(self, path: str) -> None:
        self.commands.append(f"remove {path}")
        self.files.pop(path, None)

    def close(self) -> None:
        pass

    def did(self, beginning: str) -> bool:
        return any(line.startswith(beginning) for line in self.commands)

    def _answer(self, command: Sequence[str], line: str) -> Finished:
        if "stat" in command[:3]:
            found = command[-1] in self.files
            return Finished(0, "644 root:root\n", "", 0) if found else Finished(1, "", "No such file or directory", 0)
        for beginning in sorted(self.answers, key=len, reverse=True):
            if line.startswith(beginning):
                answer = self.answers[beginning]
                said = answer(command) if callable(answer) else answer
                return said if isinstance(said, Finished) else Finished(0, said, "", 0)
        return Finished(0, "", "", 0)


class NoConnections:
    def get(self, conn_id: str) -> Connection:
        raise AssertionError(f"the unit test asked for the connection {conn_id}")


class FakeAccess(Access):
    """The lab's site file, with hosts in memory."""

    def __init__(self, site: Site | None = None) -> None:
        super().__init__(site or SITE, NoConnections())
        self.hosts: dict[str, FakeHost] = {}

    def remote(self, host: str) -> FakeHost:  # type: ignore[override]
        return self.hosts.setdefault(host, FakeHost(host))


class Switch(Change):
    """A change of a value in memory, which can be told to crash, to fail, or to look wrong from outside."""

    kind = "switch"

    def __init__(self, access: Access, world: dict[str, Any], wanted: str = "on", name: str = "switch") -> None:
        super().__init__(access)
        self.world, self.wanted, self.name = world, wanted, name
        self.crash_in_apply: BaseException | None = None
        self.wrong_from_outside = False

    @property
    def subject(self) -> str:
        return self.name

    @property
    def parameters(self) -> dict[str, Any]:
        return {"wanted": self.wanted}

    @property
    def desired(self) -> State:
        return {"value": self.wanted}

    def observe(self) -> State:
        return {"value": self.world[self.name]}

    def apply(self) -> None:
        if self.crash_in_apply:
            self.world[self.name] = "half"
            raise self.crash_in_apply
        self.world[self.name] = self.wanted

    def verify(self) -> None:
        if self.wrong_from_outside:
            raise ChangeFailed("seen from outside it is not so")

    def revert(self, before: State) -> None:
        self.world[self.name] = before["value"]

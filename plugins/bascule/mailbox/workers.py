"""Pairs of sessions, one with each server, that work off one queue of units side by side."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from bascule.mailbox.doveadm import CannotCommand, Doveadm
from bascule.mailbox.imap.login import log_in
from bascule.mailbox.imap.server import Server
from bascule.mailbox.imap.session import Session

Unit = Callable[["Sessions"], None]
A = TypeVar("A")
B = TypeVar("B")


class Sessions:
    """One session with each server, opened when first used, and anew when its connection is lost.

    `doveadm` opens a channel for commands to the destination, where there can be one.
    """

    def __init__(self, source: Server, destination: Server, doveadm: Callable[[], Doveadm] | None = None) -> None:
        self._servers, self._open_doveadm = (source, destination), doveadm
        self._doveadm: Doveadm | None = None
        self._no_doveadm = "Bascule knows no way to command it"
        self._source: Session | None = None
        self._destination: Session | None = None

    def open(self) -> None:
        """Log in on both sides at once."""
        source, destination = self._servers
        self._source, self._destination = in_parallel(lambda: log_in(source), lambda: log_in(destination))

    @property
    def source(self) -> Session:
        if self._source is None and self._destination is None:
            self.open()
        if self._source is None or self._source.wire.lost:
            self._source = log_in(self._servers[0])
        return self._source

    @property
    def source_lost(self) -> bool:
        """Whether the connection to the source, once opened, is gone."""
        return self._source is not None and self._source.wire.lost

    @property
    def destination_lost(self) -> bool:
        """Whether the connection to the destination, once opened, is gone."""
        return self._destination is not None and self._destination.wire.lost

    @property
    def destination(self) -> Session:
        if self._destination is None or self._destination.wire.lost:
            self._destination = log_in(self._servers[1])
        return self._destination

    @property
    def doveadm(self) -> Doveadm:
        """Raises CannotCommand, TransientError."""
        if self._open_doveadm is None:
            raise CannotCommand(self._no_doveadm)
        if self._doveadm is None:
            try:
                self._doveadm = self._open_doveadm()
            except CannotCommand as error:  # it is not asked for each folder
                self._open_doveadm, self._no_doveadm = None, str(error)
                raise
        return self._doveadm

    def close(self, *, cut: bool = False) -> None:
        """Say good-bye; or cut, where a command may be under way that must not be completed."""
        if self._doveadm is not None:
            self._doveadm.close()
            self._doveadm = None
        for session in (self._source, self._destination):
            if session is not None:
                if cut:
                    session.wire.close()
                else:
                    session.close()


@dataclass(frozen=True)
class Side:
    """A folder on one side of a copy or a comparison: a session that may select it, and its name there.

    `uidvalidity`: under which its messages were listed; 0: it does not matter.
    """

    session: Session
    name: bytes
    uidvalidity: int = 0


class WorkQueue:
    """Units of work; a unit may add others. The first error stops all pairs of sessions after their present unit."""

    def __init__(self) -> None:
        self._units: deque[Unit] = deque()
        self._working = 0
        self._changed = threading.Condition()
        self.error: BaseException | None = None

    def add(self, unit: Unit, *, first: bool = False) -> None:
        with self._changed:
            if first:
                self._units.appendleft(unit)
            else:
                self._units.append(unit)
            self._changed.notify()

    def work(self, sessions: Sessions) -> None:
        """Work until nothing is left and nobody can add any more."""
        while (unit := self._take()) is not None:
            try:
                unit(sessions)
            except BaseException as error:
                with self._changed:
                    self.error = self.error or error
            finally:
                with self._changed:
                    self._working -= 1
                    self._changed.notify_all()

    def _take(self) -> Unit | None:
        with self._changed:
            while not self._units and self._working and self.error is None:
                self._changed.wait()
            if not self._units or self.error is not None:
                return None
            self._working += 1
            return self._units.popleft()


def work_off(queue: WorkQueue, workers: list[Sessions]) -> None:
    """Let all pairs work, the first one in this thread. Raises the first error; then all connections are cut."""
    threads = [threading.Thread(target=queue.work, args=(sessions,), daemon=True) for sessions in workers[1:]]
    for thread in threads:
        thread.start()
    queue.work(workers[0])
    for thread in threads:
        thread.join()
    if queue.error is not None:
        for sessions in workers:
            sessions.close(cut=True)
        raise queue.error


def in_parallel(first: Callable[[], A], second: Callable[[], B]) -> tuple[A, B]:
    """Both at once, the second one in a thread of its own. Raises the first error."""
    results: list[B] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(second())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        mine = first()
    finally:
        thread.join()
    if errors:
        raise errors[0]
    return mine, results[0]

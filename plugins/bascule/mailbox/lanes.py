"""Lanes: pairs of connections, one to each server, that work off one queue of units side by side."""

import threading
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from bascule.mailbox.endpoints import MailboxJob
from bascule.mailbox.session import Session

Unit = Callable[["Lane"], None]
A = TypeVar("A")
B = TypeVar("B")


class Lane:
    """One connection to each server; opened when first used."""

    def __init__(self, job: MailboxJob) -> None:
        self._job = job
        self._old: Session | None = None
        self._new: Session | None = None

    def open(self) -> None:
        """Log in on both sides at once."""
        self._old, self._new = in_parallel(lambda: Session(self._job.old), lambda: Session(self._job.new))

    @property
    def old(self) -> Session:
        if self._old is None and self._new is None:
            self.open()
        if self._old is None or self._old.wire.lost:
            self._old = Session(self._job.old)
        return self._old

    @property
    def old_lost(self) -> bool:
        """Whether the connection to the old server, once opened, is gone."""
        return self._old is not None and self._old.wire.lost

    @property
    def new(self) -> Session:
        if self._new is None or self._new.wire.lost:
            self._new = Session(self._job.new)
        return self._new

    def close(self, *, cut: bool = False) -> None:
        """Say good-bye; or cut, where a command may be under way that must not be completed."""
        for session in (self._old, self._new):
            if session is not None:
                if cut:
                    session.wire.close()
                else:
                    session.close()


class WorkQueue:
    """Units of work; a unit may add others. The first error stops all lanes after their present unit."""

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

    def work(self, lane: Lane) -> None:
        """Work until nothing is left and nobody can add any more."""
        while (unit := self._take()) is not None:
            try:
                unit(lane)
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


def work_off(queue: WorkQueue, lanes: list[Lane]) -> None:
    """Let all lanes work, the first one in this thread. Raises the first error; then all connections are cut."""
    threads = [threading.Thread(target=queue.work, args=(lane,), daemon=True) for lane in lanes[1:]]
    for thread in threads:
        thread.start()
    queue.work(lanes[0])
    for thread in threads:
        thread.join()
    if queue.error is not None:
        for lane in lanes:
            lane.close(cut=True)
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

"""Slows down who tries passwords at the door for programs; the one for people (FAB's page) has a limit of its own."""

import threading
import time
from collections import deque
from collections.abc import Callable

MOST = 5  # wrong passwords for one user name
SECONDS = 40.0  # within so many seconds; as FAB has it for its page


class WrongLogins:
    """The wrong passwords of the last seconds, by user name; of this process alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def too_many(self, name: str) -> bool:
        with self._lock:
            self._forget()
            return len(self._times.get(name, ())) >= MOST

    def note(self, name: str) -> None:
        with self._lock:
            self._forget()
            self._times.setdefault(name, deque(maxlen=MOST)).append(self._clock())

    def _forget(self) -> None:
        """Names that nobody tries any more take no memory, however many were made up."""
        oldest = self._clock() - SECONDS
        for name, times in list(self._times.items()):
            while times and times[0] < oldest:
                times.popleft()
            if not times:
                del self._times[name]

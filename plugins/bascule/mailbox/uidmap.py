"""Which old UID became which new UID, in runs."""

from bisect import bisect_right
from collections.abc import Iterator

from bascule.ledger.mailboxes import COPIED

Run = tuple[int, int, int, str]  # first old UID, first new UID, length, origin


class UidMap:
    """The map of one folder. Reading sees what was there at `load` or at the last `settle`."""

    def __init__(self, runs: list[Run] | None = None) -> None:
        self._runs: list[Run] = []
        self._firsts: list[int] = []
        self._by_new: list[tuple[int, int, int]] = []
        self._added: list[Run] = []
        self._load(runs or [])

    def _load(self, runs: list[Run]) -> None:
        self._runs = compact(runs)
        self._firsts = [run[0] for run in self._runs]
        self._by_new = sorted((new, old, length) for old, new, length, _ in self._runs)

    def __len__(self) -> int:
        return sum(run[2] for run in self._runs)

    def __contains__(self, old: int) -> bool:
        return self.find(old) is not None

    def __iter__(self) -> Iterator[tuple[int, int, str]]:
        """(old UID, new UID, origin), by old UID."""
        for old, new, length, origin in self._runs:
            for i in range(length):
                yield old + i, new + i, origin

    @property
    def runs(self) -> list[Run]:
        return self._runs

    def find(self, old: int) -> tuple[int, str] | None:
        """The new UID and its origin."""
        at = bisect_right(self._firsts, old) - 1
        if at >= 0 and old < self._runs[at][0] + self._runs[at][2]:
            return self._runs[at][1] + old - self._runs[at][0], self._runs[at][3]
        return None

    def old_of(self, new: int) -> int | None:
        """The old UID of a new one."""
        at = bisect_right(self._by_new, (new, 2**62, 0)) - 1
        if at >= 0 and new < self._by_new[at][0] + self._by_new[at][2]:
            return self._by_new[at][1] + new - self._by_new[at][0]
        return None

    def add(self, pairs: list[tuple[int, int]], origin: str = COPIED) -> list[Run]:
        """Add what one batch copied; return it as runs, for the ledger."""
        runs = compact([(old, new, 1, origin) for old, new in pairs])
        self._added += runs
        return runs

    def settle(self) -> None:
        """Let readers see what was added."""
        if self._added:
            runs, self._added = self._runs + self._added, []
            self._load(runs)

    def remove(self, olds: list[int]) -> None:
        """Forget these messages."""
        gone = set(olds)
        self.settle()
        kept: list[Run] = []
        for old, new, length, origin in self._runs:
            if gone.isdisjoint(range(old, old + length)):
                kept.append((old, new, length, origin))
            else:
                kept += [(old + i, new + i, 1, origin) for i in range(length) if old + i not in gone]
        self._load(kept)


def compact(runs: list[Run]) -> list[Run]:
    """By old UID, with neighbours joined that go on in both UIDs."""
    joined: list[Run] = []
    for run in sorted(runs):
        if joined:
            old, new, length, origin = joined[-1]
            if (old + length, new + length, origin) == (run[0], run[1], run[3]):
                joined[-1] = (old, new, length + run[2], origin)
                continue
        joined.append(run)
    return joined

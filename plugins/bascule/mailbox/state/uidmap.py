"""Which old UID became which new UID, in runs."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from bascule.ledger.mailboxes import COPIED, FOUND, REPAIRED
from bascule.mailbox.columns import ascending, in_order

Run = tuple[int, int, int, str]  # first old UID, first new UID, length, origin

ORIGINS = (COPIED, FOUND, REPAIRED)
NUMBERS = {origin: number for number, origin in enumerate(ORIGINS)}


class Runs:
    """Runs in columns, 13 bytes each; a run that goes on where the last one ends makes that one longer."""

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self.old, self.new, self.length, self.origin = array("I"), array("I"), array("I"), array("B")
        for run in runs:
            self.append(run)

    def __len__(self) -> int:
        return len(self.old)

    def __getitem__(self, i: int) -> Run:
        return self.old[i], self.new[i], self.length[i], ORIGINS[self.origin[i]]

    def __iter__(self) -> Iterator[Run]:
        return (self[i] for i in range(len(self.old)))

    def append(self, run: Run) -> None:
        old, new, length, origin = run
        number = NUMBERS[origin]
        if self.old:
            before = self.length[-1]
            if (self.old[-1] + before, self.new[-1] + before, self.origin[-1]) == (old, new, number):
                self.length[-1] += length
                return
        self.old.append(old)
        self.new.append(new)
        self.length.append(length)
        self.origin.append(number)


class UidMap:
    """The map of one folder. Reading sees what was there at `load` or at the last `settle`."""

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self._added, self._batches = Runs(), array("I")
        self.changed = False  # since it was made
        self._cut = False  # something was removed
        self.given = 0  # runs that it was made from
        self._load(Runs(self._counted(runs)))

    def _counted(self, runs: Iterable[Run]) -> Iterator[Run]:
        for run in runs:
            self.given += 1
            yield run

    def _load(self, runs: Runs, starts: "array[int] | None" = None) -> None:
        self._runs = Runs(runs[i] for i in ascending(runs.old, starts or ()))
        self._size = sum(self._runs.length)
        self._by_new: array[int] | None = None

    def __len__(self) -> int:
        return self._size

    def __contains__(self, old: int) -> bool:
        runs = self._runs
        at = bisect_right(runs.old, old) - 1
        return at >= 0 and old < runs.old[at] + runs.length[at]

    def __iter__(self) -> Iterator[tuple[int, int, str]]:
        """(old UID, new UID, origin), by old UID."""
        for old, new, length, origin in self._runs:
            for i in range(length):
                yield old + i, new + i, origin

    @property
    def runs(self) -> Iterator[Run]:
        """By old UID."""
        return iter(self._runs)

    def is_written(self, rows: int) -> bool:
        """Whether so many rows of runs say the same: nothing was removed, and no run became part of another."""
        return not self._cut and rows == len(self._runs)

    def find(self, old: int) -> tuple[int, str] | None:
        """The new UID and its origin."""
        runs = self._runs
        at = bisect_right(runs.old, old) - 1
        if at >= 0 and old < runs.old[at] + runs.length[at]:
            return runs.new[at] + old - runs.old[at], ORIGINS[runs.origin[at]]
        return None

    def old_of(self, new: int) -> int | None:
        """The old UID of a new one."""
        runs = self._runs
        if self._by_new is None:
            self._by_new = array("I", ascending(runs.new))
        place = bisect_right(self._by_new, new, key=runs.new.__getitem__) - 1
        at = self._by_new[place] if place >= 0 else -1
        if at >= 0 and new < runs.new[at] + runs.length[at]:
            return runs.old[at] + new - runs.new[at]
        return None

    def add(self, pairs: list[tuple[int, int]], origin: str = COPIED) -> list[Run]:
        """Add what one batch copied; return it as runs, for the ledger."""
        runs = list(Runs((old, new, 1, origin) for old, new in sorted(pairs)))
        self.changed = self.changed or bool(runs)
        self._batches.append(len(self._added))
        for run in runs:
            self._added.append(run)
        return runs

    def settle(self) -> None:
        """Let readers see what was added."""
        if not len(self._added):
            return
        runs, known = self._runs, len(self._runs)
        for run in self._added:
            runs.old.append(run[0])
            runs.new.append(run[1])
            runs.length.append(run[2])
            runs.origin.append(NUMBERS[run[3]])
        starts = array("I", (known + start for start in self._batches))
        self._added, self._batches = Runs(), array("I")
        self._load(runs, starts)

    def remove(self, olds: Iterable[int]) -> None:
        """Forget these messages."""
        self.settle()
        gone = in_order(array("I", olds))
        if gone:
            self.changed = self._cut = True
        self._load(Runs(piece for run in self._runs for piece in _without(run, gone)))


def _without(run: Run, gone: "array[int]") -> Iterator[Run]:
    """What is left of a run."""
    old, new, length, origin = run
    first = old
    for at in range(bisect_left(gone, old), bisect_left(gone, old + length)):
        if gone[at] > first:
            yield first, new + first - old, gone[at] - first, origin
        first = gone[at] + 1
    if first < old + length:
        yield first, new + first - old, old + length - first, origin

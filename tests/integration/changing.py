"""What the tests of changes have in common: run one, run it again, put it back, and see that all is as before."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from bascule.changes import acts, base
from bascule.changes.base import Change, Outcome, Result, State
from bascule.ledger import Ledger, journal

Make = Callable[[], Change]


@dataclass
class Changing:
    """A ledger, and the ways in which a change is run. `make` builds the change anew, as each task does."""

    ledger: Ledger

    def run(self, make: Make, *, dry_run: bool = False) -> Result:
        return base.run(make(), self.ledger, journal.Origin("test"), dry_run=dry_run)

    def put_back(self, make: Make) -> None:
        """Undo the newest act in force, which must be of this change."""
        act = acts.in_force(journal.entries(self.ledger))[0]
        change = make()
        assert (act.kind, act.subject, act.parameters) == (change.kind, change.subject, change.parameters)
        base.undo(change, act.before, self.ledger, journal.Origin("test"))

    def events(self) -> list[str]:
        return [entry.event for entry in journal.entries(self.ledger)]

    def notes(self) -> str:
        return "\n".join(entry.note for entry in journal.entries(self.ledger, event="failed"))

    def round_trip(self, make: Make) -> tuple[State, State]:
        """Apply, apply again, verify, put back: the states before and at the end are returned, equal."""
        before = make().observe()
        assert self.run(make, dry_run=True).outcome == Outcome.WOULD_CHANGE
        assert make().observe() == before, "a dry run changes nothing"
        assert self.events() == []
        done = self.run(make)
        assert done.outcome == Outcome.DONE
        assert self.run(make).outcome == Outcome.UNCHANGED
        make().verify()
        self.put_back(make)
        after = make().observe()
        assert after == before
        assert self.events() == ["intent", "done", "unchanged", "reverted"]
        assert acts.in_force(journal.entries(self.ledger)) == []
        return before, done.after


@pytest.fixture
def changing(ledger_url: str) -> Iterator[Changing]:
    ledger = Ledger(ledger_url)
    yield Changing(ledger)
    ledger.engine.dispose()

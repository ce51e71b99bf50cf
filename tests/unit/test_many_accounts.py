"""The accounts of a run, listed for its mapped groups: nothing grows faster than their number."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from bascule.hosts import directory
from bascule.ledger import Ledger, journal
from bascule.tasks.accounts import list_accounts
from bascule.tasks.run import Run

from tests.unit.changes.fakes import SITE, FakeAccess

FEW, MANY = 1_000, 5_000
MOST = 8  # times; in proportion it is 5, and the square would be 25


class MadeDirectory:
    """So many people."""

    def __init__(self, number: int) -> None:
        self.names = [f"p{n:05d}" for n in range(number)]

    @contextmanager
    def connected(self, _: object) -> Iterator[None]:
        yield

    def search(self, *_: object) -> Iterator[dict[str, Any]]:
        for name in self.names:
            yield {"dn": f"uid={name},{SITE.directory.base}", "raw_attributes": {"uid": [name.encode()]}}


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> Any:
    """Lists so many accounts, and tells what that took of the processor, in seconds."""

    def listed(number: int) -> float:
        made = MadeDirectory(number)
        monkeypatch.setattr(directory, "connected", made.connected)
        monkeypatch.setattr(directory, "search", made.search)
        run = Run(SITE, FakeAccess(), ledger, journal.Origin("prepare"))
        began = time.process_time()
        found = list_accounts(run)
        took = time.process_time() - began
        assert found == made.names
        return took

    return listed


def test_five_times_the_accounts_cost_no_more_than_in_proportion(listed: Any) -> None:
    took: dict[int, list[float]] = {FEW: [], MANY: []}
    for _ in range(3):
        for number, times in took.items():
            times.append(listed(number))
    assert min(took[MANY]) < MOST * min(took[FEW])

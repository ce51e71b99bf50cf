"""A file of many events: all of them arrive, and each costs what one of few costs.

Several hundred by default; 3,000 with BASCULE_TEST_DEPTH=full.
"""

import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bascule.calendars.exported_files import Folder
from bascule.ledger import Ledger
from bascule.problems import store
from calendar_items import event
from fake_dav import FakeDav, one_pass

FULL = os.environ.get("BASCULE_TEST_DEPTH") == "full"
FEW, MANY = (300, 3000) if FULL else (40, 400)
# By how much more processor time an event among many may take: machines are noisy, and a square would be ten times.
NOISE = 3
HEAD, TAIL = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//\r\n", "END:VCALENDAR\r\n"


@pytest.fixture
def no_garbage_is_collected() -> Iterator[None]:
    """What that costs depends on all that the tests before have left."""
    gc.disable()
    yield
    gc.enable()


def seconds_of_an_event(ledger: Ledger, folder: Path, events: int) -> float:
    """Of the processor, for a first pass over a file of so many of them; the second pass writes nothing."""
    folder.mkdir()
    each = (event(f"e{number}").removeprefix(HEAD).removesuffix(TAIL) for number in range(events))
    (folder / "work.ics").write_text(HEAD + "".join(each) + TAIL, newline="")
    old: Any = SimpleNamespace(session=lambda: Folder(folder))
    new = FakeDav()
    began = time.process_time()
    one_pass(ledger, folder.name, old, new)
    took = time.process_time() - began
    assert len(new.items) == events
    new.written.clear()
    one_pass(ledger, folder.name, old, new)
    assert (new.written, store.problems(ledger)) == ([], [])
    return took / events


@pytest.mark.usefixtures("no_garbage_is_collected")
def test_each_of_many_events_of_a_file_costs_what_one_of_few_costs(ledger: Ledger, tmp_path: Path) -> None:
    seconds_of_an_event(ledger, tmp_path / "warm", 5)  # what is loaded only once
    of_few = seconds_of_an_event(ledger, tmp_path / "few", FEW)
    of_many = seconds_of_an_event(ledger, tmp_path / "many", MANY)
    print(f"a pass over a file of {MANY} events: {of_many * MANY:.1f} s of the processor, {of_many * 1000:.1f} ms each")
    assert of_many < NOISE * of_few

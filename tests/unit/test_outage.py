"""When the outage began and ended, by the journal: which acts count, on which sites, and in which try of the day."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest
from bascule.ledger import Ledger, journal, outage, phases

SIX = datetime(2026, 6, 27, 4)
MACHINE = ("freeze", "virtual_machine", {"state": "shut off"})
IMAP = ("freeze", "service", {"service": "imap_old", "state": "stopped"})
CLOSED = ("freeze", "firewall", {"side": "old", "state": "isolated"})
TAKEN = ("cutover", "address", {"service": "imap"})
Act = tuple[str, str, dict[str, str]]
BOTH: tuple[journal.Event, ...] = ("intent", "done")


class Day:
    """A journal that is written minute by minute."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.minute = ledger, 0

    def at(self, minute: int) -> "Day":
        self.minute = minute
        return self

    def act(self, of: Act, *events: journal.Event) -> None:
        phase, kind, parameters = of
        for event in events or BOTH:
            entry = journal.Entry(event, kind, kind, journal.Origin(phase, "day", kind), dict(parameters))
            journal.append(self.ledger, entry)

    def mark(self, phase: str, state: phases.Mark) -> None:
        phases.mark(self.ledger, phase, state, journal.Origin(phase, "day", "begin"))

    def outages(self) -> list[tuple[int | None, int | None, bool]]:
        """In minutes since six o'clock: begin, end, whether new ended it."""
        return [(minute(each.began), minute(each.ended), each.served) for each in outage.outages(self.ledger)]


def minute(moment: datetime | None) -> int | None:
    return None if moment is None else round((moment - SIX) / timedelta(minutes=1))


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Day]:
    made = Day(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"))
    with mock.patch.object(journal, "now", lambda: SIX + timedelta(minutes=made.minute)):
        made.mark("freeze", "started")
        yield made


def test_it_begins_when_the_virtual_machine_is_about_to_be_shut_off_and_ends_when_new_has_the_address(day: Day) -> None:
    day.at(33).act(MACHINE, "intent")
    assert day.outages() == [(33, None, False)]
    day.at(34).act(MACHINE, "done")
    day.at(35).act(IMAP)
    day.at(36).act(CLOSED)
    assert outage.seconds(day.ledger) is None
    day.at(90).act(TAKEN, "intent")
    day.at(91).act(TAKEN, "done")
    assert day.outages() == [(33, 91, True)]
    assert outage.seconds(day.ledger) == 58 * 60


@pytest.mark.parametrize(("first", "then"), [(IMAP, CLOSED), (CLOSED, IMAP)])
def test_where_the_machine_was_off_already_it_begins_with_the_first_act_that_keeps_people_out(
    day: Day, first: Act, then: Act
) -> None:
    day.at(33).act(MACHINE, "unchanged")
    day.at(34).act(first)
    day.at(36).act(then)
    assert day.outages() == [(34, None, False)]


def test_other_acts_begin_and_end_none(day: Day) -> None:
    day.at(1).act(("freeze", "service", {"service": "imap_new", "state": "stopped"}))
    day.at(2).act(("freeze", "firewall", {"side": "new", "state": "isolated"}))
    day.at(3).act(("freeze", "service", {"service": "imap_old", "state": "running"}))
    day.at(4).act(("rollback", "virtual_machine", {"state": "shut off"}))
    assert day.outages() == []
    day.at(33).act(MACHINE)
    day.at(40).act(("cutover", "address", {"service": "pop"}))
    day.at(41).act(TAKEN, "intent", "failed")
    day.at(42).act(("rollback", "address", {"service": "imap"}))
    day.at(42).mark("rollback", "started")
    assert day.outages() == [(33, None, False)]


def test_a_try_that_failed_kept_people_out_all_the_same(day: Day) -> None:
    day.at(33).act(MACHINE, "intent", "failed")
    day.at(50).act(MACHINE)
    assert day.outages() == [(33, None, False)]


def test_an_address_that_somebody_has_moved_by_hand_ends_it_too(day: Day) -> None:
    day.at(33).act(MACHINE)
    day.at(91).act(TAKEN, "unchanged")
    assert outage.seconds(day.ledger) == 58 * 60


def test_what_is_run_again_once_new_serves_changes_nothing(day: Day) -> None:
    day.at(33).act(MACHINE)
    day.at(91).act(TAKEN)
    day.at(200).act(TAKEN, "unchanged")
    day.at(201).act(IMAP)
    assert day.outages() == [(33, 91, True)]


def test_a_way_back_ends_it_and_the_next_day_has_another_one(day: Day) -> None:
    day.at(33).act(MACHINE)
    day.at(60).mark("rollback", "finished")
    assert day.outages() == [(33, 60, False)] and outage.seconds(day.ledger) is None
    day.at(100).mark("freeze", "started")
    assert outage.of_day(day.ledger) is None
    day.at(110).act(MACHINE)
    day.at(120).act(TAKEN)
    assert day.outages() == [(33, 60, False), (110, 120, True)]
    assert outage.seconds(day.ledger) == 600


def test_a_way_back_after_the_cutover_takes_the_outage_for_none_of_a_new_server_that_serves(day: Day) -> None:
    day.at(33).act(MACHINE)
    day.at(91).act(TAKEN)
    day.at(300).mark("rollback", "finished")
    assert day.outages() == [(33, 91, False)] and outage.seconds(day.ledger) is None
    day.at(400).mark("freeze", "started")
    day.at(410).act(MACHINE)
    assert day.outages() == [(33, 91, False), (410, None, False)]


def test_a_freeze_that_begins_anew_without_a_way_back_has_the_outage_that_goes_on(day: Day) -> None:
    day.at(33).act(MACHINE)
    day.at(50).mark("freeze", "started")
    goes_on = outage.of_day(day.ledger)
    assert goes_on and (goes_on.began, goes_on.ended) == (SIX + timedelta(minutes=33), None)
    day.at(60).act(TAKEN)
    assert outage.seconds(day.ledger) == 27 * 60


def test_a_clock_that_is_set_back_before_the_outage_loses_none(day: Day) -> None:
    day.at(-60).act(MACHINE)
    assert outage.of_day(day.ledger) is not None
    day.at(-30).act(TAKEN)
    assert outage.seconds(day.ledger) == 30 * 60
    day.at(-20).mark("rollback", "finished")
    day.at(-10).mark("freeze", "started")
    assert outage.of_day(day.ledger) is None


def test_a_clock_that_is_set_back_in_the_outage_makes_it_no_shorter_than_nothing(day: Day) -> None:
    day.at(33).act(MACHINE)
    day.at(5).act(TAKEN)
    assert outage.seconds(day.ledger) == 0

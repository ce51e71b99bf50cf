"""A day that was broken off and begun again: which outage goes on, and that the earlier one is not forgotten."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from unittest import mock

import pytest
from bascule.ledger import Ledger, journal, phases, task_log
from bascule.ledger.task_log import Try
from bascule.site import Site
from bascule.views import report
from bascule.views.day import Span, day
from bascule.views.progress import mailboxes

from tests.unit.dashboard.conftest import client_of
from tests.unit.dashboard.reading import Read

SIX = datetime(2026, 6, 27, 4)
STOPPED = ("freeze", "stop_imap_proxy_virtual_machine", "virtual_machine", {"state": "shut off"})
TAKEN = ("cutover", "take_imap_address", "address", {"service": "imap"})
Act = tuple[str, str, str, dict[str, str]]
BOTH: tuple[journal.Event, ...] = ("intent", "done")


class Clock:
    """The ledger's clock, in minutes since six o'clock."""

    now = SIX

    def at(self, minutes: int) -> datetime:
        Clock.now = SIX + timedelta(minutes=minutes)
        return Clock.now


@pytest.fixture
def clock() -> Iterator[Clock]:
    with mock.patch.object(journal, "now", lambda: Clock.now), mock.patch.object(task_log, "now", lambda: Clock.now):
        yield Clock()


def act(ledger: Ledger, of: Act, run: str, attempt: int = 1) -> None:
    phase, task, kind, parameters = of
    origin = journal.Origin(phase, run, task, "lead")
    task_log.note(ledger, Try(origin, attempt), "done")
    for event in BOTH:
        journal.append(ledger, journal.Entry(event, kind, task, origin, parameters))


def mark(ledger: Ledger, phase: str, state: phases.Mark, run: str) -> None:
    phases.mark(ledger, phase, state, journal.Origin(phase, run, "begin", "lead"))


def outages(ledger: Ledger, at: datetime) -> tuple[list[Span], Span | None]:
    seen = day(ledger, mailboxes(ledger), at=at)
    return [*seen.outages_before], seen.outage


def between(first: int, last: int | None) -> Span:
    minutes = (SIX + timedelta(minutes=each) if each is not None else None for each in (first, last))
    return Span(*minutes)  # type: ignore[arg-type]


def broken_off(ledger: Ledger, clock: Clock, run: str = "run-1") -> None:
    clock.at(0)
    mark(ledger, "freeze", "started", run)
    clock.at(5)
    act(ledger, STOPPED, run)
    clock.at(30)
    mark(ledger, "rollback", "started", "back")
    clock.at(45)
    mark(ledger, "rollback", "finished", "back")


@pytest.mark.parametrize(("run", "attempt"), [("run-2", 1), ("run-1", 2)])
def test_what_runs_after_a_way_back_is_the_day_and_its_outage_another_one(
    ledger: Ledger, clock: Clock, site: Site, run: str, attempt: int
) -> None:
    """Also when the same run is cleared, instead of a new one being triggered."""
    broken_off(ledger, clock)
    clock.at(100)
    mark(ledger, "freeze", "started", run)
    clock.at(110)
    act(ledger, STOPPED, run, attempt)

    assert outages(ledger, clock.at(120)) == ([between(5, 45)], between(110, None))
    text = Read(client_of(ledger, site).get("./").text).text
    assert "Freeze runs." in text and "The outage lasts" in text
    assert "Outage of an earlier try, 27 Jun 2026 06:05 40 min" in text


def test_the_report_tells_both(ledger: Ledger, clock: Clock, site: Site) -> None:
    broken_off(ledger, clock)
    clock.at(100)
    mark(ledger, "freeze", "started", "run-2")
    act(ledger, STOPPED, "run-2")
    clock.at(160)
    mark(ledger, "cutover", "started", "run-2")
    act(ledger, TAKEN, "run-2")

    found = report.gather(ledger, site, clock.at(200))
    assert "Coupure d'une tentative précédente, 27 juin 2026 06:05 40 min" in Read(report.as_html(found)).text
    assert json.loads(report.as_json(found))["outages_before"] == [
        {"began": "2026-06-27T04:05:00Z", "ended": "2026-06-27T04:45:00Z"}
    ]


def test_an_outage_that_no_way_back_has_ended_goes_on_in_another_run(ledger: Ledger, clock: Clock) -> None:
    clock.at(0)
    mark(ledger, "freeze", "started", "run-1")
    clock.at(5)
    act(ledger, STOPPED, "run-1")
    clock.at(50)
    mark(ledger, "freeze", "started", "run-2")

    assert outages(ledger, clock.at(51)) == ([], between(5, None))
    clock.at(55)
    act(ledger, STOPPED, "run-2")
    assert outages(ledger, clock.at(60)) == ([], between(5, None))


def test_a_phase_that_is_cleared_without_a_way_back_is_the_same_run(ledger: Ledger, clock: Clock) -> None:
    clock.at(0)
    mark(ledger, "freeze", "started", "run-1")
    clock.at(5)
    act(ledger, STOPPED, "run-1")
    clock.at(50)
    mark(ledger, "freeze", "started", "run-1")
    act(ledger, STOPPED, "run-1", 2)

    assert outages(ledger, clock.at(51)) == ([], between(5, None))

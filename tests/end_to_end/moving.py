"""Before the day some people move on their own, in a wave that is stopped in its middle and run again.

Together with those who are on new already they are half of the practice site; the day is for the others.
"""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import ldap3
import sqlalchemy as sa
from bascule.ledger import moves
from bascule.ledger.base import now
from bascule.ledger.moves import MoveRow, State

from lab.airflow.following import Teller
from lab.airflow.planning import Planner, start
from lab.airflow.processes import Home
from lab.corpus.inventory import ordinary
from lab.facts import PEOPLE_BASE
from lab.paths import Instance
from tests.end_to_end.conftest import Day, end_of
from tests.end_to_end.control_room import MovesPage
from tests.integration.conftest import Lab
from tests.integration.directory_entries import administrator, dn_of

WAVE, PER_WAVE, AT_ONCE = "midi", 6, 2
ROLES = ["accueil", "sonde"]  # with a filter of every kind; the one by which the day's tests see what works
STAY = 2  # who has no part of his own in the day and does not move: in one of these nothing changes
SECONDS = 600  # for what needs much less: only what never comes may end the tests


def movers(instance: Instance) -> list[str]:
    """Who is in the wave."""
    return sorted([*ordinary(instance)[:-STAY], *ROLES])


def plan_a_wave(day: Day, tell: Teller) -> None:
    """Propose a plan, take another one by its table, and let its wave wait for tomorrow."""
    tell("moves: planning waves")
    page, wave = MovesPage(day.rest), movers(day.instance)
    day.notes["proposed"], day.notes["page of what is proposed"] = _planner(day).propose(PER_WAVE), page.of_wave("1")
    chosen, nobody = {"wave": WAVE, "start": start(timedelta(days=1))}, {"wave": "", "start": ""}
    day.notes["taken"] = _planner(day).edit(lambda row: {**row, **(chosen if row["account"] in wave else nobody)})
    day.notes["page of what is taken"] = page.of_wave(WAVE)
    day.notes["run of the wave"] = day.rest.trigger("move", {"accounts": f"wave:{WAVE}", "at_once": AT_ONCE})


def move_the_wave(day: Day, tell: Teller) -> None:
    """Put its start forward, press the button while accounts are under way, and run the same wave again."""
    run, page = day.notes["run of the wave"], MovesPage(day.rest)
    _wait_until(lambda: day.rest.tasks("move", run, "up_for_reschedule"), "the wave does not wait for its start")
    day.look("move, before its start", "move", run)
    tell("moves: the wave's start is put forward")
    _planner(day).edit(lambda row: {**row, "start": start()} if row["wave"] else row)
    _wait_until(lambda: moves.holds(day.ledger), "no account of the wave is under way")
    day.notes["under way at the stop"] = {move.account for move in moves.holds(day.ledger)}
    page.stop()
    tell("moves: stopped")
    day.notes["page after the stop"] = page.text()
    end_of(day, "move, stopped", "move", run, tell, [])
    day.notes["moved before the stop"] = moves.moved(day.ledger)
    day.notes["held after the stop"] = {move.account for move in moves.all_under_way(day.ledger)}, held(day)
    end_of(day, "move, again", "move", day.rest.trigger("move", {"accounts": f"wave:{WAVE}"}), tell, [])
    day.notes["page after the wave"] = page.of_wave(WAVE)


def leave_a_hold(day: Day, tell: Teller) -> None:
    """Somebody who does not move is held by a move whose process and run are gone; nobody runs `move` again."""
    tell("moves: a hold is left")
    account = ordinary(day.instance)[-1]
    with administrator(Lab(day.instance)) as admin:
        hold = {"mailHold": [(ldap3.MODIFY_ADD, ["retry:4.2.1 mailbox is being moved"])]}
        assert admin.modify(dn_of(account), hold), admin.result
    begun = moves.begin(day.ledger, account, "new", {}, "gone")
    left = moves.hold(day.ledger, begun, at_once=100, until=now() - timedelta(seconds=1))
    day.notes["hold that was left"], began = left, time.monotonic()
    _wait_until(lambda: not moves.all_under_way(day.ledger), "the hold is not undone by itself")
    day.notes["seconds until it was undone"] = time.monotonic() - began
    day.notes["held after it was left"] = held(day)


def ends(day: Day) -> dict[str, datetime]:
    """When each account's move to new had ended; one that moved twice is a failure."""
    query = sa.select(MoveRow.account, MoveRow.ended_at).where(MoveRow.to == "new", MoveRow.state == State.DONE)
    with day.ledger.reading() as session:
        found = [(account, at.replace(tzinfo=UTC)) for account, at in session.execute(query) if at]
    assert len(found) == len(dict(found)), f"somebody has moved twice: {found}"
    return dict(found)


def held(day: Day) -> list[str]:
    """Whose mail the directory lets the MX hold."""
    with administrator(Lab(day.instance)) as admin:
        admin.search(PEOPLE_BASE, "(mailHold=*)", attributes=["uid"])
        return [str(entry.uid) for entry in admin.entries]


def _planner(day: Day) -> Planner:
    return Planner((), os.environ, Home(day.instance).path / "waves.csv")


def _wait_until(ready: Callable[[], object], complaint: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not ready():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.1)

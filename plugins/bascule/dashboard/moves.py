"""Moves: the waves of the plan, how far each is, who waits for a person; and the word by which they are stopped."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from fastapi import HTTPException, Request
from starlette.datastructures import FormData

from bascule.dashboard import today
from bascule.dashboard.links import Links
from bascule.dashboard.mailboxes import Pages
from bascule.dashboard.room import Room
from bascule.dashboard.visitor import Visitor, check_form, token
from bascule.ledger import Ledger, journal, mailboxes, moves, phases, waves
from bascule.ledger.base import now
from bascule.ledger.moves import ENDS, MoveRow
from bascule.ledger.waves import Planned, Word
from bascule.moves.plan_table import PlanRefused
from bascule.tasks.waves import Change, take_table, tell_runs
from bascule.views.day import MOVES

LARGEST_FILE = 8 * 1024 * 1024
WORDS: Mapping[str, Word] = {"stop": "stop", "go on": "go on"}


@dataclass(frozen=True)
class Wave:
    """One wave, or (without a name) those who wait for a person. `counts`: how many accounts are in which state."""

    name: str
    starts_at: datetime | None
    accounts: Sequence[Planned]
    counts: Counter[str]


@dataclass(frozen=True)
class Taken:
    """What became of a table that was sent: the change of the plan and its notes, or why nothing was changed."""

    change: Change | None = None
    lines: Sequence[str] = ()


def values(room: Room, request: Request, chosen: str | None, wanted: int, taken: Taken | None = None) -> dict[str, Any]:
    """What the page shows; of the chosen wave also its accounts, page by page."""
    visitor = room.door.visitor(request)
    plan = room.fresh.get("plan", lambda: waves.plan(room.ledger))
    states = room.fresh.get("states of moves", lambda: states_of(room.ledger))
    found = [_wave(name, [*group], states) for name, group in groupby(plan, key=lambda each: each.wave)]
    accounts = [each for each in plan if each.wave == chosen] if chosen is not None else []
    pages = Pages.of(wanted, len(accounts))
    return {
        "at": now(),
        "waves": found,
        "columns": ("moved", "being moved", "not moved", "to come"),
        "chosen": chosen,
        "pages": pages,
        "shown": [(each, *states.get(each.account, ("to come", ""))) for each in accounts[pages.rows]],
        "under_way": room.fresh.get("moves under way", lambda: moves.all_under_way(room.ledger)),
        "needs": today.needs(each for each in room.day().attention if each.phase == MOVES),
        "links": Links(),
        "whom": lambda each: today.whom(room, each, room.reader(request)),
        "stopped": waves.stopped(room.ledger, phases.asked_last(room.ledger, "move")),
        "may_stop": visitor.may_edit,
        "taken": taken,
        "token": token(room.door, visitor),
    }


def tell(room: Room, request: Request, form: FormData) -> None:
    """Stop the runs that go on, or let them go on. Raises HTTPException (403, 422)."""
    visitor = _check(room, request, form, "you may not stop the moves: Airflow's rights say who may")
    word = WORDS.get(str(form.get("word", "")))
    if word is None:
        raise HTTPException(422)
    tell_runs(room.ledger, word, journal.Origin("control room", task="moves", asked_by=visitor.name))
    room.fresh.forget()


def take(room: Room, request: Request, form: FormData, name: str, data: bytes) -> Taken:
    """The table becomes the plan, whole, or nothing is changed. Raises HTTPException (403).

    The accounts are those that `prepare` has found, and those of the plan: the directory is asked when they move.
    """
    visitor = _check(room, request, form, "you may not change the plan: Airflow's rights say who may")
    if len(data) > LARGEST_FILE:
        return Taken(lines=[f"{name}: the file is larger than {LARGEST_FILE:,} bytes"])
    known = mailboxes.mailbox_states(room.ledger).keys() | {each.account for each in waves.plan(room.ledger)}
    origin = journal.Origin("control room", task="moves", asked_by=visitor.name)
    try:
        change = take_table(room.ledger, room.site, known, data, origin)
    except PlanRefused as refused:
        return Taken(lines=refused.reasons)
    room.fresh.forget()
    return Taken(change, change.notes)


def _check(room: Room, request: Request, form: FormData, refusal: str) -> Visitor:
    visitor = room.door.visitor(request)
    check_form(room.door, visitor, request, str(form.get("token", "")))
    if not visitor.may_edit:
        raise HTTPException(403, refusal)
    return visitor


def states_of(ledger: Ledger) -> dict[str, tuple[str, str]]:
    """(state, why it was not moved) of every account by its last move to new; one that is back is yet to come."""
    query = sa.select(MoveRow.account, MoveRow.to, MoveRow.state, MoveRow.note).order_by(MoveRow.id)
    found: dict[str, tuple[str, str]] = {}
    with ledger.reading() as session:
        for account, to, state, note in session.execute(query):
            found[account] = _state(to, state, note)
    return found


def _state(to: str, state: str, note: str) -> tuple[str, str]:
    if state not in ENDS:
        return "being moved", ""
    if to == "old":
        return ("to come", "") if state == moves.State.DONE else ("moved", "")
    return ("moved", "") if state == moves.State.DONE else ("not moved", note)


def _wave(name: str, accounts: Sequence[Planned], states: Mapping[str, tuple[str, str]]) -> Wave:
    counts = Counter(states.get(each.account, ("to come", ""))[0] for each in accounts)
    return Wave(name, accounts[0].starts_at, accounts, counts)

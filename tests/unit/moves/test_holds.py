"""Holds are watched: each is shown with its age, and one that has lasted too long is undone by itself."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.exceptions import TaskDeferred
from airflow.triggers.base import BaseTrigger, TriggerEvent
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger, LedgerAway, moves
from bascule.ledger.base import now
from bascule.ledger.journal import Origin
from bascule.ledger.moves import State
from bascule.operators import holds as operators
from bascule.operators.holds import HoldsOfRun, OverdueHolds, WatchHolds
from bascule.operators.tasks import EndBrokenMoves
from bascule.tasks import holds, move
from bascule.tasks.run import NeedsPerson, Run, TryAgain

from tests.unit.changes.fakes import SITE, FakeAccess
from tests.unit.moves.fake_site import FakeActs, FakeSite
from tests.unit.moves.test_tasks import left

ORIGIN = Origin("move", "run-1", "watch_holds", "anna")


@pytest.fixture(autouse=True)
def environment(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASCULE_LEDGER", ledger.url)


@pytest.fixture
def run_of_move(ledger: Ledger) -> Run:
    return Run(SITE, FakeAccess(), ledger, ORIGIN)


@pytest.fixture
def acts(monkeypatch: pytest.MonkeyPatch) -> FakeActs:
    made = FakeActs(FakeSite(held=True))
    monkeypatch.setattr(move, "SiteActs", lambda *_: made)
    monkeypatch.setattr(move, "are_held", lambda _: [])
    return made


def test_every_hold_is_shown_with_its_age_and_overdue_ones_are_news_once(ledger: Ledger) -> None:
    left(ledger, "zoe", State.CARRYING)
    overdue = left(ledger, "anna", seconds=-1)
    moves.note(ledger, left(ledger, "bert", seconds=-1), State.DONE)
    watch = holds.Watch()
    seen = watch.look()
    assert seen.holds == [
        "zoe: held for 0 s; carrying, on its way to new",
        "anna: held for 0 s, longer than it may be; quieting, on its way to new",
    ]
    assert (seen.overdue, seen.news) == ([overdue.id], [overdue.id])
    assert (watch.look().overdue, watch.look().news) == ([overdue.id], [])


def test_what_could_not_be_undone_is_news_again_after_a_while_and_less_and_less_often(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    left(ledger, "anna", seconds=-1)
    at = 0.0
    monkeypatch.setattr(holds.time, "monotonic", lambda: at)
    watch, news = holds.Watch(), list[float]()
    for at in map(float, range(0, 4 * 3600, 10)):
        if watch.look().news:
            news.append(at)
    assert news[:4] == [0.0, 120.0, 360.0, 840.0]
    assert max(later - sooner for sooner, later in pairwise(news)) <= 3600


def test_a_ledger_that_is_away_ends_no_watch(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    left(ledger, "anna", seconds=-1)
    watch = holds.Watch()
    with monkeypatch.context() as away:

        def fail(_: Ledger) -> None:
            raise LedgerAway("its database starts")

        away.setattr(moves, "holds", fail)
        assert watch.look() == holds.Seen()
    assert len(watch.look().news) == 1


def fired(trigger: BaseTrigger, events: int) -> list[Any]:
    """What it fires, as often; as one that was written into Airflow's database and read again."""
    path, given = trigger.serialize()
    again = getattr(operators, path.rpartition(".")[2])(**given)

    async def follow() -> list[Any]:
        found: list[Any] = []
        async for event in again.run():
            assert isinstance(event, TriggerEvent)
            found.append(event.payload)
            if len(found) == events:
                break
        return found

    return asyncio.run(asyncio.wait_for(follow(), 30))


def test_the_watch_without_a_run_fires_for_what_is_overdue_only(ledger: Ledger) -> None:
    left(ledger, "zoe")
    overdue = left(ledger, "anna", seconds=-1)
    assert fired(OverdueHolds(seconds=0.01), 1) == [{"moves": [overdue.id]}]


@pytest.fixture
def tasks_of_run(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The states of the tasks that move the accounts of the run."""
    states: list[str] = []

    def count(*, states: list[str] | None, dag_id: str, run_ids: list[str], task_ids: list[str]) -> int:
        assert (dag_id, run_ids, task_ids) == ("move", ["run-1"], ["account.move"])
        return sum(states is None or state in states for state in found)

    found = states
    monkeypatch.setattr(operators, "RuntimeTaskInstance", SimpleNamespace(get_ti_count=count))
    return states


def of_run(known: list[int]) -> HoldsOfRun:
    return HoldsOfRun("move", "run-1", "account.move", known, seconds=0.01)


def test_the_watch_of_a_run_ends_with_the_last_task_that_moves(ledger: Ledger, tasks_of_run: list[str]) -> None:
    tasks_of_run += ["success", "failed", "skipped", "upstream_failed", "removed"]
    assert fired(of_run([]), 1) == [{"overdue": [], "over": True}]


@pytest.mark.parametrize("state", ["running", "up_for_retry", "scheduled", "none"])
def test_it_goes_on_while_one_may_still_hold_mail(ledger: Ledger, tasks_of_run: list[str], state: str) -> None:
    tasks_of_run += ["success", state]
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(anext(of_run([]).run()), 0.2))
    overdue = left(ledger, "anna", seconds=-1)
    assert fired(of_run([]), 1) == [{"overdue": [overdue.id], "over": False}]
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(anext(of_run([overdue.id]).run()), 0.2))


def test_it_goes_on_while_airflow_does_not_answer(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> int:
        raise RuntimeError("api server away")

    monkeypatch.setattr(operators, "RuntimeTaskInstance", SimpleNamespace(get_ti_count=fail))
    overdue = left(ledger, "anna", seconds=-1)
    assert fired(of_run([]), 1) == [{"overdue": [overdue.id], "over": False}]


@pytest.fixture
def context(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    @contextmanager
    def task_run(context: Any) -> Iterator[Run]:
        yield Run(SITE, FakeAccess(), ledger, ORIGIN, dry_run=context["dry_run"])

    monkeypatch.setattr(operators, "task_run", task_run)
    return {"ti": SimpleNamespace(dag_id="move", run_id="run-1"), "dry_run": False}


def deferred(task: WatchHolds, context: dict[str, Any], event: dict[str, Any] | None) -> HoldsOfRun | None:
    """The trigger for which the task waits now; None when it has ended."""
    try:
        task.execute(context) if event is None else task.look_again(context, event)  # type: ignore[arg-type]
    except TaskDeferred as waits:
        assert waits.method_name == "look_again"
        assert isinstance(waits.trigger, HoldsOfRun)
        return waits.trigger
    return None


def test_the_task_undoes_the_overdue_hold_of_a_dead_one_and_watches_on(
    ledger: Ledger, context: dict[str, Any], acts: FakeActs
) -> None:
    task = WatchHolds(task_id="watch_holds", moving="account.move")
    assert deferred(task, context, None)
    overdue = left(ledger, "anna", seconds=-1)
    waits = deferred(task, context, {"overdue": [overdue.id], "over": False})
    assert waits and waits.known == [overdue.id]
    assert (acts.done, acts.site.held, moves.all_under_way(ledger)) == (["release"], False, [])
    assert deferred(task, context, {"overdue": [], "over": True}) is None


def test_what_it_can_not_undo_does_not_end_its_watch(
    ledger: Ledger, context: dict[str, Any], acts: FakeActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move, "PATIENCE", 0.0)
    acts.fail["release"] = AccessError("mx can't be reached")
    overdue = left(ledger, "anna", seconds=-1)
    task = WatchHolds(task_id="watch_holds", moving="account.move")
    assert deferred(task, context, {"overdue": [overdue.id], "over": False})
    assert [each.account for each in moves.holds(ledger)] == ["anna"]


def test_what_can_not_be_undone_keeps_nobody_else_from_moving(
    run_of_move: Run, acts: FakeActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, and the last task of the run fails by its name."""
    monkeypatch.setattr(move, "PATIENCE", 0.0)
    acts.fail["release"] = AccessError("mx can't be reached")
    left(run_of_move.ledger, "anna", seconds=-1)
    first = EndBrokenMoves(task_id="undo_overdue_holds", overdue_only=True, others_move=True)
    assert first.act(run_of_move) == []
    assert run_of_move.outcome.state == "done" and "the move of anna stands still" in run_of_move.outcome.sentence
    begun = moves.begin(run_of_move.ledger, "zoe", "new", {}, "run-1")
    assert moves.hold(run_of_move.ledger, begun, at_once=1, until=now()), "it keeps no place either"
    acts.fail["release"] = AccessError("mx can't be reached")
    with pytest.raises(NeedsPerson, match="the move of anna stands still"):
        EndBrokenMoves(task_id="leave_nobody_held").act(run_of_move)


def test_a_dry_run_holds_nobody_and_watches_nothing(context: dict[str, Any]) -> None:
    assert deferred(WatchHolds(task_id="watch_holds", moving="account.move"), context | {"dry_run": True}, None) is None


def test_the_hold_that_a_renamed_entry_has_kept_does_not_wait_for_the_end_of_the_run(
    run_of_move: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others of the run may move for hours after it."""
    entries = {"zoe": FakeActs(FakeSite()), "zoe.martin": FakeActs(FakeSite())}

    def rename() -> None:
        entries["zoe"].site.delete()
        entries["zoe.martin"].site.held = True

    entries["zoe"].after["hold"] = rename
    monkeypatch.setattr(move, "SiteActs", lambda access, ledger, account, owner: entries[account])
    monkeypatch.setattr(move, "are_held", lambda _: [name for name, acts in entries.items() if acts.site.held])
    monkeypatch.setattr(move, "_prepare", lambda *_: None)
    monkeypatch.setattr(move, "PATIENCE", 0.0)
    with pytest.raises(TryAgain, match="the directory has no entry of the account zoe"):
        move.move(run_of_move, "zoe", "new", 0)
    assert not entries["zoe.martin"].site.held

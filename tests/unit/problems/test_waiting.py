"""The sensor of the cutover, and the list of accounts that `problems` works on."""

from collections.abc import Callable

import pytest
from bascule.hosts import directory
from bascule.hosts.directory import Account
from bascule.ledger import Ledger
from bascule.problems import record, store
from bascule.problems.model import Option, Problem
from bascule.problems.record import Choice
from bascule.tasks import gate
from bascule.tasks.accounts import list_with_problems
from bascule.tasks.run import Run

from tests.unit.problems.conftest import AUTHOR, ORIGIN

Report = Callable[..., Problem]


@pytest.fixture
def poke(ledger: Ledger) -> Callable[..., bool]:
    """One look of the sensor, as Airflow makes it again and again."""
    return lambda **options: gate.is_free(Run(None, None, ledger, ORIGIN, **options))  # type: ignore[arg-type]


def decide(ledger: Ledger, problem: Problem, option: Option = Option.APPLY) -> None:
    record.record(ledger, [Choice(problem, option)], AUTHOR)


def test_with_no_problem_the_sensor_lets_the_day_go_on(poke: Callable[..., bool]) -> None:
    assert poke()


@pytest.mark.parametrize("room", ["mailbox", "account", "sieve", "calendar"])
def test_an_open_problem_of_any_room_holds_it(poke: Callable[..., bool], report: Report, room: str) -> None:
    report(room=room, kind="a kind")
    assert not poke()


def test_one_open_problem_of_many_holds_it(ledger: Ledger, poke: Callable[..., bool], report: Report) -> None:
    first, second = report("~a"), report("~b", account="bert")
    decide(ledger, first)
    assert not poke()
    decide(ledger, second)
    assert poke()


def test_looking_again_by_hand_is_no_decision_and_holds_it(
    ledger: Ledger, poke: Callable[..., bool], report: Report
) -> None:
    decide(ledger, report(), Option.LOOK_AGAIN)
    assert not poke()


def test_what_is_met_again_with_other_facts_holds_it_again(
    ledger: Ledger, poke: Callable[..., bool], report: Report
) -> None:
    decide(ledger, report())
    assert poke()
    with ledger.session() as session:
        store.report(session, Problem("anna", "mailbox", "folder-name", "~x", "", facts={"folder": "~x", "n": 2}))
    assert not poke()


def test_what_is_gone_holds_nothing(ledger: Ledger, poke: Callable[..., bool], report: Report) -> None:
    report()
    with ledger.session() as session:
        store.withdraw_unseen(session, "anna", "mailbox", seen=())
    assert poke()


def test_a_dry_run_waits_for_nobody(poke: Callable[..., bool], report: Report) -> None:
    report()
    assert poke(dry_run=True)


def test_problems_works_on_what_is_open_and_on_what_was_decided_and_never_settled(
    ledger: Ledger, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["anna", "bert", "carl", "dora"]
    monkeypatch.setattr(directory, "accounts", lambda *_: [Account(name, "") for name in names])
    report(account="bert")
    decide(ledger, report(account="carl"))
    decide(ledger, settled := report(account="dora"))
    report(account="eve")  # not of this run
    with ledger.session() as session:
        store.settle(session, settled.id)
    run = Run(None, None, ledger, ORIGIN, dry_run=False, selection="all")  # type: ignore[arg-type]
    assert list_with_problems(run) == ["bert", "carl"]

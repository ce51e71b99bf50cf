"""Whose mailbox is looked at after moves for what came to old behind them, and what is remembered of it."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from bascule.hosts.login import NoPassword
from bascule.ledger import Ledger, carried, journal, leases, moves
from bascule.ledger.carried import Carried
from bascule.ledger.moves import State
from bascule.mailbox import TransientError
from bascule.mailbox.behind import Behind
from bascule.moves.machine import Limits, Mover
from bascule.operators.tasks import EndBrokenMoves
from bascule.tasks import behind, move
from bascule.tasks.run import Run, at_command_line
from structlog.testing import capture_logs

from tests.unit.changes.fakes import SITE, FakeAccess
from tests.unit.moves.fake_site import FakeActs, FakeSite

ORIGIN = journal.Origin("move", "run-2", "leave_nobody_held", "anna")


@pytest.fixture
def run(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("bascule.mailbox.job_for", lambda _, account: SimpleNamespace(account=account))
    return Run(SITE, FakeAccess(), ledger, ORIGIN)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, int]]:
    """With what each mailbox was looked at: how far it was seen before."""
    found: dict[str, dict[str, int]] = {}

    def carry_behind(job: Any, ledger: Ledger, seen: dict[str, int], *, owner: str) -> Behind:
        found[job.account] = dict(seen)
        if job.account == "eve":
            raise TransientError("old can't be reached")
        return Behind(copied=2, seen={"hash": seen.get("hash", 10) + 2})

    monkeypatch.setattr(behind, "carry_behind", carry_behind)
    return found


def moved(ledger: Ledger, account: str, run: str = "run-1") -> None:
    moves.note(ledger, moves.begin(ledger, account, "new", {}, "run-0"), State.DONE)
    origin = journal.Origin("move", run)
    journal.append(ledger, journal.Entry("note", "move", account, origin, {"what": str(State.DONE), "to": "new"}))


def grant(ledger: Ledger, owner: str, who: str, rights: str) -> None:
    with ledger.session() as session:
        carried.remember(session, owner, "folder", "acl", Carried(who, rights, None, None, ours=True))


def test_those_of_this_run_and_those_who_let_others_write_are_looked_at(
    run: Run, looked: dict[str, dict[str, int]]
) -> None:
    """bert has not moved, carl lets others read alone, and dora herself write; anyone may write into fred's folder."""
    for owner, who, rights in [
        ("anna", "bert", "lrswi"), ("bert", "anna", "lrswi"), ("carl", "bert", "lr"), ("dora", "DORA", "lrswip"),
        ("eve", "$staff", "lrp"), ("fred", "anyone", "i"), ("gina", "-bert", "i"),
    ]:  # fmt: skip
        grant(run.ledger, owner, who, rights)
    for account in ("anna", "carl", "dora", "eve", "fred", "gina"):
        moved(run.ledger, account)
    moved(run.ledger, "hugo", "run-2")
    assert behind.carry(replace(run, dry_run=True)) == 0
    assert behind.carry(run) == 6
    assert sorted(looked) == ["anna", "eve", "fred", "hugo"], "and one that can't be reached holds up no other"


def test_who_has_no_password_any_more_holds_up_no_other_and_is_told(
    run: Run, looked: dict[str, dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def job_for(access: object, account: str) -> SimpleNamespace:
        if account == "anna":
            raise NoPassword("the connection `imap_old` has no password for anna in `passwords`: add it there")
        return SimpleNamespace(account=account)

    monkeypatch.setattr("bascule.mailbox.job_for", job_for)
    for account in ("anna", "zoe"):
        moved(run.ledger, account, "run-2")
    with capture_logs() as lines:
        assert behind.carry(run) == 2
    assert [*looked] == ["zoe"]
    (line,) = [line for line in lines if line["log_level"] == "error"]
    assert (line["account"], "no password for anna" in line["reason"]) == ("anna", True)


def test_a_move_that_another_run_began_is_of_the_run_that_ended_it(run: Run, looked: dict[str, dict[str, int]]) -> None:
    begun = moves.begin(run.ledger, "zoe", "new", {}, "run-1")
    moves.note(run.ledger, begun, State.DONE)
    assert behind.carry(run) == 0
    mover = Mover(FakeActs(FakeSite(at="new", held=True)), run.ledger, ORIGIN, Limits(8, 60), lambda: None)
    left = moves.note(run.ledger, moves.begin(run.ledger, "anna", "new", {}, "run-1"), State.RELEASING)
    mover.take_up(left, forward=False)
    behind.carry(run)
    assert [*looked] == ["anna"]


def test_each_command_line_is_a_run_of_its_own(run: Run, looked: dict[str, dict[str, int]]) -> None:
    ledger = run.ledger
    with at_command_line(SITE, ledger, "moves move") as one, at_command_line(SITE, ledger, "moves move") as other:
        moved(ledger, "anna", one.origin.run)
        moved(ledger, "bert", other.origin.run)
        behind.carry(one)
    assert [*looked] == ["anna"]


def test_what_was_looked_through_is_not_looked_through_again(run: Run, looked: dict[str, dict[str, int]]) -> None:
    moved(run.ledger, "zoe", "run-2")
    behind.carry(run)
    behind.carry(run)
    assert looked == {"zoe": {"hash": 12}}
    entries = [entry for entry in journal.entries(run.ledger, subject="zoe") if entry.parameters["what"] == "behind"]
    assert [entry.note for entry in entries] == ["2 message(s) that came to old behind its move are on new"] * 2


def test_who_is_worked_on_or_is_moved_back_is_left_alone(run: Run, looked: dict[str, dict[str, int]]) -> None:
    for account in ("anna", "bert", "carl"):
        moved(run.ledger, account, "run-2")
    moves.begin(run.ledger, "bert", "old", {}, "run-3")
    moves.note(run.ledger, moves.begin(run.ledger, "carl", "old", {}, "run-3"), State.DONE)
    with leases.lease(run.ledger, "anna", "another task"):
        assert behind.carry(run) == 0
    assert looked == {}


@pytest.mark.parametrize(("overdue_only", "looks"), [(False, [True]), (True, [])])
def test_the_last_task_of_a_run_looks_and_no_watch_of_holds_does(
    run: Run, monkeypatch: pytest.MonkeyPatch, overdue_only: bool, looks: list[bool]
) -> None:
    found: list[bool] = []
    monkeypatch.setattr(move, "end_what_was_left", lambda *_, **__: ["zoe"])
    monkeypatch.setattr(behind, "carry", lambda _: found.append(True))
    assert EndBrokenMoves(task_id="x", overdue_only=overdue_only).act(run) == ["zoe"]
    assert found == looks

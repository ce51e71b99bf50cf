"""A run of moves: it names a wave, waits for its time, keeps to its pace, and stops at once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from bascule.hosts import directory
from bascule.hosts.directory import Account
from bascule.ledger import Ledger, carried, journal, leases, moves, task_log
from bascule.ledger import waves as plan
from bascule.ledger.base import now
from bascule.ledger.carried import Carried
from bascule.ledger.task_log import Try
from bascule.ledger.waves import Planned
from bascule.moves import __main__ as command_line
from bascule.moves import machine
from bascule.operators import base
from bascule.problems import store
from bascule.problems.model import Problem
from bascule.site import HoursPart
from bascule.tasks import accounts, move, waves
from bascule.tasks.run import LeftForLater, NeedsPerson, NotBegun, Run
from structlog.testing import capture_logs

from tests.unit.changes.fakes import SITE, FakeAccess
from tests.unit.moves.conftest import NINE, ORIGIN, another, begun, of_moves
from tests.unit.moves.fake_site import FakeActs, FakeSite


def failed(run: Run, number: int) -> None:
    origin = replace(run.origin, task=f"account.move[{number}]")
    task_log.note(run.ledger, Try(origin, 3, f"account {number}", of_many=True), "failed", "mx can't be reached")


def test_a_wave_is_named_where_accounts_are_asked_for(run: Run) -> None:
    plan.replace(run.ledger, [Planned("bert", "7", NINE), Planned("anna", "7", NINE), Planned("carl", "8", NINE)])
    asked = replace(run, selection="wave:7")
    assert move.list_to_move(asked, "new") == ["anna", "bert"]
    assert accounts.start_of_wave(asked) == NINE
    assert accounts.start_of_wave(run) is None


def test_who_shares_something_since_the_plan_was_made_and_stays_behind_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run.ledger.session() as session:
        for owner, who in [("anna", "bert"), ("carl", "anna"), ("anna", "dora"), ("dora", "bert")]:
            carried.remember(session, owner, "folder", "acl", Carried(who, "lrs", None, None, ours=True))
    monkeypatch.setattr(waves, "are_on", lambda access, server: {"dora"})
    assert waves.tell_who_is_parted(run, ["anna", "bert"]) == [("anna", "carl")]
    assert waves.tell_who_is_parted(run, ["anna", "bert", "carl"]) == []


def test_a_bad_entry_of_somebody_else_stops_no_move_for_the_sake_of_a_notice(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> list[Account]:
        raise directory.DirectoryError("'salle 12' can't be the name of an account")

    monkeypatch.setattr(directory, "accounts", refuse)
    with capture_logs() as logged:
        assert waves.tell_who_is_parted(run, ["anna"]) == []
    (told,) = logged
    assert told["log_level"] == "warning" and "'salle 12' can't be the name" in told["reason"]


@pytest.mark.parametrize("asked", ["wave:9", "wave:", "wave: ", "wave:*"])
def test_a_wave_that_is_not_planned_is_told(run: Run, asked: str) -> None:
    plan.replace(run.ledger, [Planned("anna", "7", NINE), Planned("zoe")])
    with pytest.raises(NeedsPerson, match=r"the plan has no wave .*; it has 7"):
        move.list_to_move(replace(run, selection=asked), "new")


def test_a_wave_waits_for_its_start(run: Run) -> None:
    plan.replace(run.ledger, [Planned("anna", "7", now() + timedelta(hours=1)), Planned("bert", "8", now())])
    assert not waves.is_time(replace(run, selection="wave:7"), "new")
    assert run.outcome.state == "waiting" and "it begins at" in run.outcome.sentence
    assert waves.is_time(replace(run, selection="wave:8"), "new")
    assert waves.is_time(run, "new")
    assert waves.is_time(replace(run, selection="wave:7", dry_run=True), "new")


def test_who_comes_after_the_hours_is_left_for_later_and_a_run_waits_for_them(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = FakeAccess(of_moves(hours=HoursPart()))
    night = replace(run, site=access.site, access=access)
    monkeypatch.setattr(waves, "now", lambda: datetime(2037, 12, 1, 20))
    assert not waves.is_time(night, "new")
    assert waves.is_time(night, "old")
    with pytest.raises(LeftForLater, match=r"anna was not moved: the hours.*Run `move` again"):
        waves.wait_for_turn(night, "anna", "new")
    waves.wait_for_turn(night, "anna", "old")
    monkeypatch.setattr(waves, "now", lambda: NINE)
    waves.wait_for_turn(night, "anna", "new")


def test_no_more_accounts_begin_in_an_hour_than_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    access = FakeAccess(of_moves(per_hour=2))
    slow = replace(run, site=access.site, access=access)
    for account in ("anna", "bert", "anna"):
        waves.wait_for_turn(slow, account, "new")
    waited: list[float] = []

    def an_hour_later(seconds: float) -> None:
        waited.append(seconds)
        with run.ledger.session() as session:
            session.get_one(plan.StartRow, 1).at -= timedelta(hours=1)

    monkeypatch.setattr(waves.time, "sleep", an_hour_later)
    waves.wait_for_turn(slow, "carl", "new")
    assert len(waited) == 1


def test_after_some_failures_the_rest_of_the_run_is_left_for_later_and_the_next_run_goes_on(run: Run) -> None:
    for number in range(3):
        failed(run, number)
    with run.ledger.session() as session:
        store.report(session, Problem("account 2", "mailbox", "folder-name", "a//b", "new refuses it"))
        store.report(session, Problem("account 1", "calendar", "uid", "x", "it holds no move up"))
    waves.wait_for_turn(run, "anna", "new")
    failed(run, 3)
    with pytest.raises(LeftForLater, match=r"3 accounts of this run have failed .*goes on with the rest"):
        waves.wait_for_turn(run, "anna", "new")
    waves.wait_for_turn(run, "anna", "old")
    waves.wait_for_turn(another(run), "anna", "new")
    waves.signal(run, "go on")
    waves.wait_for_turn(run, "anna", "new")


def test_a_failed_account_that_was_mended_and_cleared_counts_no_more(run: Run) -> None:
    for number in range(3):
        failed(run, number)
    with pytest.raises(LeftForLater, match="3 accounts of this run have failed"):
        waves.wait_for_turn(run, "anna", "new")
    origin = replace(run.origin, task="account.move[1]")
    task_log.note(run.ledger, Try(origin, 4, "account 1", of_many=True), "done")
    waves.wait_for_turn(run, "anna", "new")
    task_log.note(run.ledger, Try(origin, 5, "account 1", of_many=True), "failed", "mx can't be reached")
    with pytest.raises(LeftForLater, match="3 accounts of this run have failed"):
        waves.wait_for_turn(run, "anna", "new")


def test_stopped_nobody_begins_and_the_next_run_does(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waves.Entry, "is_at", lambda self, server: False)
    waves.signal(run, "stop")
    for to in ("new", "old"):
        with pytest.raises(LeftForLater, match=r"not moved: anna stopped the moves at .*clear its tasks"):
            waves.wait_for_turn(run, "bert", move.server(to))
    with pytest.raises(LeftForLater):
        waves.is_time(run, "new")
    assert moves.all_under_way(run.ledger) == []
    waves.wait_for_turn(another(run), "bert", "new")
    waves.signal(run, "go on")
    waves.wait_for_turn(run, "bert", "new")
    assert [entry.parameters["what"] for entry in journal.entries(run.ledger, kind="move")] == ["stop", "go on"]


def test_stopped_is_also_a_run_that_was_triggered_before_and_waited_for_another_one(run: Run) -> None:
    waiting = replace(run, origin=replace(ORIGIN, run="run-2"), asked_at=now())
    waves.signal(run, "stop")
    begun(waiting)
    with pytest.raises(LeftForLater, match="anna stopped the moves"):
        waves.is_time(waiting, "new")
    with pytest.raises(LeftForLater, match="anna stopped the moves"):
        waves.wait_for_turn(waiting, "anna", "new")


def test_a_run_of_airflow_is_asked_for_when_it_is_triggered_not_when_it_begins(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base.tasks.run.site, "from_environment", lambda: SITE)
    monkeypatch.setattr(base.tasks.run.Ledger, "from_environment", lambda: ledger)
    paris = timezone(timedelta(hours=1))
    dag_run = SimpleNamespace(run_after=NINE.replace(hour=9, tzinfo=paris), start_date=now().replace(tzinfo=UTC))
    task = SimpleNamespace(dag_id="move", run_id="run-1", task_id="begin", map_index=-1, try_number=1, max_tries=0)
    context = {"ti": task, "task": SimpleNamespace(retries=0), "dag_run": dag_run, "params": {}}
    monkeypatch.setattr(base, "_check_lost", lambda context: None)
    with base._opened(context, "move") as run:
        assert run.asked_at == NINE


def test_stopped_during_its_passes_an_account_is_not_held(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    acts = FakeActs(FakeSite())
    monkeypatch.setattr(move, "SiteActs", lambda *_: acts)
    monkeypatch.setattr(move, "_prepare", lambda run, account, to: waves.signal(run, "stop"))
    with pytest.raises(LeftForLater, match="anna stopped the moves"):
        move.move(run, "bert", "new", 0)
    assert (acts.done, moves.all_under_way(run.ledger)) == ([], [])


def test_a_move_that_broke_off_is_taken_up_though_the_run_was_stopped(run: Run) -> None:
    moves.begin(run.ledger, "bert", "new", {}, "run-1")
    waves.signal(run, "stop")
    waves.wait_for_turn(run, "bert", "new")


def test_whom_others_keep_from_moving_is_no_failure_of_the_wave(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass of `prepare` is at the account for long, or no place comes free."""
    acts = FakeActs(FakeSite())
    monkeypatch.setattr(move, "SiteActs", lambda *_: acts)
    monkeypatch.setattr(move, "_prepare", lambda *_: None)
    monkeypatch.setattr("bascule.moves.machine.PLACE_SECONDS", 0.0)
    monkeypatch.setattr(Run, "patience", 0.0)
    with leases.lease(run.ledger, "zoe", "prepare"), pytest.raises(NotBegun, match="nothing was begun: the mailbox of"):
        move.move(run, "zoe", "new", 0)
    first = moves.begin(run.ledger, "carl", "new", {}, "run-1")
    assert moves.hold(run.ledger, first, at_once=1, until=now() + timedelta(seconds=60))
    with pytest.raises(NotBegun, match="nothing was begun: zoe was not moved: for 0 s 1 other accounts") as told:
        move.move(run, "zoe", "new", 1)
    for number in range(5):
        origin = replace(run.origin, task=f"account.move[{number}]")
        task_log.note(run.ledger, Try(origin, 3, f"account {number}", of_many=True), "failed", str(told.value))
    waves.wait_for_turn(run, "bert", "new")
    for number in range(5, 8):
        failed(run, number)
    with pytest.raises(LeftForLater, match="3 accounts of this run have failed"):
        waves.wait_for_turn(run, "bert", "new")


def test_who_is_there_already_waits_for_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waves.Entry, "is_at", lambda self, server: True)
    waves.signal(run, "stop")
    waves.wait_for_turn(run, "bert", "new")


def test_a_task_that_is_left_for_later_ends_as_skipped_and_is_no_failure(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    this = Try(ORIGIN, 1, "anna", of_many=True)
    monkeypatch.setattr(base, "_opened", lambda context, phase: base.contextlib.nullcontext(run))
    monkeypatch.setattr(base, "_noted", lambda run, context: base.tasks.run.noted(run, this, last_try=False))
    monkeypatch.setattr(base.tasks.run, "check_phase", lambda run: None)
    waves.signal(run, "stop")
    with pytest.raises(AirflowSkipException, match="anna stopped the moves"), base.task_run({}, "move") as opened:
        waves.wait_for_turn(opened, "bert", "new")
    assert task_log.count(run.ledger, ORIGIN, "account.move", "failed") == 0


def test_the_word_stop_is_heard_by_the_command_line_before_an_account_is_held(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said while the passes without a lock went on."""
    by_hand = replace(run, origin=journal.Origin("command line", task="moves move"), asked_at=now())
    acts = FakeActs(FakeSite())
    monkeypatch.setattr(move, "SiteActs", lambda *_: acts)
    monkeypatch.setattr(move, "_prepare", lambda *_: waves.signal(run, "stop"))
    with pytest.raises(LeftForLater, match="anna stopped the moves"):
        move.move(by_hand, "zoe", "new", 0)
    assert acts.done == []


def test_who_waits_for_a_place_among_those_that_are_held_hears_it_too(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts = FakeActs(FakeSite())
    monkeypatch.setattr(move, "SiteActs", lambda *_: acts)
    monkeypatch.setattr(move, "_prepare", lambda *_: None)
    first = moves.begin(run.ledger, "carl", "new", {}, "run-1")
    assert moves.hold(run.ledger, first, at_once=1, until=now() + timedelta(seconds=60))
    monkeypatch.setattr(machine.time, "sleep", lambda seconds: waves.signal(run, "stop"))
    with pytest.raises(LeftForLater, match="anna stopped the moves"):
        move.move(run, "zoe", "new", 1)
    assert (acts.done, [each.account for each in moves.all_under_way(run.ledger)]) == ([], ["carl"])


def test_the_command_line_stops_itself_and_others(
    shell: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = []

    def moving(run: Run, account: str, to: str, at_once: int) -> str:
        moved.append(account)
        assert command_line.main(["stop"]) == 0
        return "moved"

    monkeypatch.setattr(move, "move", moving)
    assert command_line.main(["move", "anna", "bert"]) == 1
    assert moved == ["anna"]
    assert "not moved: " in capsys.readouterr().err
    assert command_line.main(["stop", "--resume"]) == 0
    last = plan.last_signal(shell)
    assert last is not None and last.word == "go on"


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who was moved by the command line; carl and dora fail."""
    found: list[str] = []

    def moving(run: Run, account: str, to: str, at_once: int) -> str:
        found.append(account)
        if account in ("carl", "dora"):
            raise NeedsPerson("2 problems wait")
        if account.startswith("busy"):
            raise NotBegun("a pass of `prepare` is at it")
        return "moved"

    monkeypatch.setattr(move, "move", moving)
    return found


def test_the_command_line_moves_a_wave_and_names_beside_it(
    shell: Ledger, run: Run, tried: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    plan.replace(shell, [Planned(name, "7", datetime(2020, 1, 1)) for name in ("bert", "anna")])
    assert command_line.main(["move", "wave:7"]) == 0
    assert tried == ["anna", "bert"]
    assert capsys.readouterr().out == "anna: moved\nbert: moved\n"
    assert command_line.main(["move", "dora", "wave:7"]) == 1
    assert tried[2:] == ["dora", "anna", "bert"]


def test_a_wave_before_its_start_moves_nobody_from_the_command_line(
    shell: Ledger, run: Run, tried: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    plan.replace(shell, [Planned("anna", "7", now() + timedelta(hours=1))])
    assert command_line.main(["move", "wave:7"]) == 1
    assert "not moved: it begins at " in capsys.readouterr().err
    assert command_line.main(["move", "wave:8"]) == 1
    assert "the plan has no wave '8'; it has 7" in capsys.readouterr().err
    assert tried == []
    assert command_line.main(["move", "anna"]) == 0, "by its name"


def test_a_wave_of_the_command_line_ends_when_too_many_have_failed(
    shell: Ledger, run: Run, tried: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = of_moves(most_failures=2)
    monkeypatch.setattr(command_line.site, "from_environment", lambda: site)
    plan.replace(shell, [Planned(name, "7") for name in ("carl", "dora", "erik")])
    assert command_line.main(["move", "wave:7"]) == 1
    assert tried == ["carl", "dora"]
    plan.replace(shell, [Planned(name, "8") for name in ("busy1", "busy2", "busy3", "carl", "erik")])
    assert command_line.main(["move", "wave:8"]) == 1
    assert tried[2:] == ["busy1", "busy2", "busy3", "carl", "erik"], "of those, only carl has failed"
    assert "not moved: 2 accounts of this run have failed" in capsys.readouterr().err

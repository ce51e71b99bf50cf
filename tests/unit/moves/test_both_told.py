"""Two things go wrong in one move, or one run of moves: each is told, and what could be done beside them is done."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from bascule.calendars import CalendarsFailed
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger, leases, moves
from bascule.ledger.journal import Origin
from bascule.ledger.moves import State
from bascule.moves import __main__ as command_line
from bascule.operators.tasks import EndBrokenMoves
from bascule.tasks import behind, calendars, holds, move, waves
from bascule.tasks.run import LeftForLater, NeedsPerson, NotBegun, Run, TryAgain

from tests.unit.changes.fakes import SITE, FakeAccess
from tests.unit.moves.fake_site import FakeActs, FakeSite
from tests.unit.moves.test_tasks import left

ORIGIN = Origin("move", "run-1", "leave_nobody_held", "anna")


@pytest.fixture
def run(ledger: Ledger) -> Run:
    return Run(SITE, FakeAccess(), ledger, ORIGIN)


@pytest.fixture
def acts(monkeypatch: pytest.MonkeyPatch) -> FakeActs:
    made = FakeActs(FakeSite(held=True))
    monkeypatch.setattr(move, "SiteActs", lambda *_: made)
    monkeypatch.setattr(move, "are_held", lambda _: [])
    monkeypatch.setattr(move, "_prepare", lambda *_: None)
    monkeypatch.setattr(move, "PATIENCE", 0.0)
    monkeypatch.setattr(Run, "patience", 0.0)
    return made


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that have looked behind their moves."""
    found = list[str]()
    monkeypatch.setattr(behind, "carry", lambda run: found.append(run.origin.run))
    return found


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("error", [CalendarsFailed("sogo says 503", {}), leases.LeaseHeld("another has them")])
def test_what_is_not_proven_is_told_together_with_calendars_that_were_not_carried(
    run: Run, acts: FakeActs, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Another try finds the account there, and would be green."""
    assert SITE.moves
    site = SITE.model_copy(update={"moves": SITE.moves.model_copy(update={"calendars": True})})
    led = replace(run, site=site, access=FakeAccess(site))
    monkeypatch.setattr(calendars, "carry", failing(error))
    acts.fail["prove"] = AccessError("mx2 leads it to old")
    with pytest.raises(NeedsPerson, match=f"zoe is on new.*mx2 leads it to old.*calendars.* still on old: {error}"):
        move.move(led, "zoe", "new", 0)


def test_who_meets_the_lease_while_its_mail_is_held_does_not_say_that_nothing_was_begun(
    run: Run, acts: FakeActs
) -> None:
    """So that `most_failures` counts it."""
    left(run.ledger, "zoe", State.RELEASING)
    with leases.lease(run.ledger, "zoe", "watch_holds"), pytest.raises(TryAgain, match="zoe has begun") as told:
        move.move(run, "zoe", "new", 0)
    assert not isinstance(told.value, NotBegun)


def test_who_is_left_for_later_keeps_nobody_from_the_look_behind_those_who_have_moved(
    run: Run, looks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: Run) -> None:
        if moved:
            raise LeftForLater("anna stopped the moves")

    moved = list[str]()
    monkeypatch.setattr(move, "move", lambda run, account, *_: moved.append(account) or "moved")
    monkeypatch.setattr(waves, "check_goes_on", stop)
    monkeypatch.setattr(command_line.pop3, "tell_who_fetches_anew_after_a_move", lambda *_: None)
    asked = command_line._parser().parse_args(["move", "zoe", "bert"])
    with pytest.raises(LeftForLater):
        command_line._move(run, asked)
    assert (moved, looks) == (["zoe"], ["run-1"])
    moved.clear()
    with pytest.raises(LeftForLater):
        command_line._move(run, command_line._parser().parse_args(["move", "zoe", "bert", "--to", "old"]))
    assert len(looks) == 1, "their mailboxes would be found taken"


@pytest.mark.parametrize("by", ["task", "command line"])
def test_one_that_stands_still_keeps_nobody_from_the_look_behind_the_others(
    run: Run, acts: FakeActs, looks: list[str], by: str
) -> None:
    left(run.ledger, "zoe", State.RELEASING)
    acts.fail["release"] = AccessError("mx can't be reached")
    with pytest.raises(NeedsPerson, match="the move of zoe stands still"):
        if by == "task":
            EndBrokenMoves(task_id="leave_nobody_held").act(run)
        else:
            command_line._end(run, command_line._parser().parse_args(["end"]))
    assert looks == ["run-1"]


def test_a_look_behind_that_fails_hides_no_other_words(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(behind, "carry", failing(AccessError("old can't be reached")))
    with pytest.raises(NeedsPerson, match="zoe stands still"), behind.carried_after(run):
        raise NeedsPerson("zoe stands still")
    assert "old can't be reached" in capsys.readouterr().out
    with pytest.raises(AccessError), behind.carried_after(run):
        pass


def test_a_move_that_has_ended_is_not_told_as_an_overdue_hold(run: Run, acts: FakeActs) -> None:
    """Its entry is gone, or it is not proven: its mail waits no more."""
    left(run.ledger, "zoe", State.RELEASING, seconds=-1)
    acts.fail["prove"] = AccessError("mx2 leads it to old")
    assert holds.undo_overdue(run) == ["zoe"]
    said = run.outcome.sentence
    assert said.startswith("to be looked at, though no mail waits: zoe is on new") and "undone" not in said
    acts.site.delete()
    left(run.ledger, "bert", State.RELEASING, seconds=-1)
    assert holds.undo_overdue(run) == ["bert"]
    assert "waits no more" in run.outcome.sentence and "undone" not in run.outcome.sentence


def test_one_that_stands_still_hides_none_that_was_ended(run: Run, acts: FakeActs) -> None:
    acts.site.at = "new"
    left(run.ledger, "zoe", State.RELEASING, seconds=-1)
    left(run.ledger, "anna", State.RELEASING, seconds=-1)
    acts.fail["release"] = AccessError("mx can't be reached")
    assert holds.undo_overdue(run) == ["anna"]
    assert run.outcome.sentence.startswith("not all overdue holds could be undone: the move of zoe stands still")
    assert [each.account for each in moves.holds(run.ledger)] == ["zoe"]


def test_a_directory_that_does_not_answer_hides_no_move_that_stands_still(
    run: Run, acts: FakeActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move, "are_held", failing(AccessError("ldap can't be reached")))
    with pytest.raises(AccessError):  # alone it is tried again
        move.end_what_was_left(run, overdue_only=False)
    left(run.ledger, "zoe", State.RELEASING)
    acts.fail["release"] = AccessError("mx can't be reached")
    with pytest.raises(NeedsPerson, match=r"zoe stands still.*mx can't be reached.*; holds .*ldap can't be reached"):
        move.end_what_was_left(run, overdue_only=False)

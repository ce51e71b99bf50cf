"""What tasks and the command line do with moves: what was left is ended, who has moved is left alone by the day."""

import threading
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from bascule.checks.preflight import moves as preflight
from bascule.checks.preflight.finding import Finding, ok
from bascule.hosts.connections import AccessError
from bascule.hosts.directory import Account
from bascule.ledger import Ledger, journal, leases, mailboxes, moves, phases
from bascule.ledger.base import now
from bascule.ledger.moves import State
from bascule.moves import __main__ as command_line
from bascule.moves.machine import CannotMove
from bascule.problems import store
from bascule.problems.model import Action, Option, Problem, Proposal
from bascule.problems.record import AnswerRefused
from bascule.tasks import calendars, checks, holds, kept_on_old, mailbox, move, notify, phase
from bascule.tasks.run import NeedsPerson, Run, check_phase

from tests.deciding import decide
from tests.unit.changes.fakes import SITE, FakeAccess
from tests.unit.moves.fake_site import FakeActs, FakeSite

ACCEPT = Proposal(Action.ACCEPT)
ORIGIN = journal.Origin("move", "run-1", "leave_nobody_held", "anna")


@pytest.fixture
def run(ledger: Ledger) -> Run:
    return Run(SITE, FakeAccess(), ledger, ORIGIN)


@pytest.fixture
def led(run: Run) -> Run:
    """Where an account is led to its calendars together with its mail."""
    assert SITE.moves
    site = SITE.model_copy(update={"moves": SITE.moves.model_copy(update={"calendars": True})})
    return replace(run, site=site, access=FakeAccess(site))


@pytest.fixture
def acts(monkeypatch: pytest.MonkeyPatch) -> FakeActs:
    made = FakeActs(FakeSite(held=True))
    monkeypatch.setattr(move, "SiteActs", lambda *_: made)
    monkeypatch.setattr(move, "are_held", lambda _: [])
    return made


def left(ledger: Ledger, account: str, state: State = State.QUIETING, seconds: float = 60) -> moves.Move:
    begun = moves.begin(ledger, account, "new", {}, "run-0")
    held = moves.hold(ledger, begun, at_once=8, until=now() + timedelta(seconds=seconds))
    assert held is not None
    return moves.note(ledger, held, state)


def test_a_hold_that_nobody_works_on_is_undone(run: Run, acts: FakeActs) -> None:
    left(run.ledger, "zoe")
    assert move.end_what_was_left(run, overdue_only=False) == ["zoe"]
    assert (acts.done, acts.site.held) == (["release"], False)
    assert move.held(run) == []


def test_only_overdue_holds_are_undone_when_others_may_be_at_work(run: Run, acts: FakeActs) -> None:
    left(run.ledger, "zoe")
    assert move.end_what_was_left(run, overdue_only=True) == []
    left(run.ledger, "anna", seconds=-1)
    assert move.end_what_was_left(run, overdue_only=True) == ["anna"]


def test_a_move_that_somebody_works_on_is_left_to_it(run: Run, acts: FakeActs) -> None:
    left(run.ledger, "zoe")
    with leases.lease(run.ledger, "zoe", "another task"):
        assert move.end_what_was_left(run, overdue_only=False) == []
    assert (acts.done, len(move.held(run))) == ([], 1)


def test_the_last_task_waits_for_a_process_of_its_own_run_that_is_being_ended(
    run: Run, acts: FakeActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has marked the task as failed in Airflow's page: it dies some seconds later, and holds until then."""
    monkeypatch.setattr(leases, "ASK_AGAIN_SECONDS", 0.05)
    held = left(run.ledger, "zoe")
    of_its_own = replace(run, origin=replace(ORIGIN, run=held.run))
    with ExitStack() as dying:
        dying.enter_context(leases.lease(run.ledger, "zoe", "its task"))
        threading.Timer(0.5, dying.close).start()
        assert move.end_what_was_left(of_its_own, overdue_only=True) == []
        assert move.end_what_was_left(of_its_own, overdue_only=False) == ["zoe"]
    assert move.held(run) == []


def test_a_move_that_was_ended_since_it_was_found_is_not_begun_again(
    run: Run, acts: FakeActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two watch at the same time: the run of `move`, and the DAG that needs none."""
    found = left(run.ledger, "zoe", seconds=-1)
    moves.note(run.ledger, found, State.UNDONE)
    monkeypatch.setattr(moves, "all_under_way", lambda _: [found])
    assert move.end_what_was_left(run, overdue_only=True) == []
    other = left(run.ledger, "zoe", State.CARRYING)
    assert move.end_what_was_left(run, overdue_only=True) == []
    assert (acts.done, moves.under_way(run.ledger, "zoe")) == ([], other)


@pytest.mark.parametrize("worked_on", [True, False])
def test_an_overdue_hold_is_told_whether_somebody_works_on_it_or_not(
    run: Run, acts: FakeActs, monkeypatch: pytest.MonkeyPatch, worked_on: bool
) -> None:
    told: list[bool] = []
    monkeypatch.setattr(notify, "overdue_hold", lambda *_, worked_on: told.append(worked_on))
    left(run.ledger, "zoe", seconds=-1)
    left(run.ledger, "anna")
    with leases.lease(run.ledger, "zoe" if worked_on else "bert", "another task"):
        move.end_what_was_left(run, overdue_only=False)
    assert told == [worked_on]


@pytest.mark.parametrize("overdue_only", [True, False])
def test_a_hold_that_no_move_has_is_taken_away(
    run: Run, acts: FakeActs, monkeypatch: pytest.MonkeyPatch, overdue_only: bool
) -> None:
    """Of a preflight that was killed while it tried it, or of a process that slept while its move was ended."""
    monkeypatch.setattr(move, "are_held", lambda _: ["anna", "zoe"])
    with leases.lease(run.ledger, "anna", "the preflight of another run"):
        assert move.end_what_was_left(replace(run, dry_run=True), overdue_only=overdue_only) == []
        assert acts.site.held
        assert move.end_what_was_left(run, overdue_only=overdue_only) == ["zoe"]
    assert not acts.site.held


def test_the_hold_that_a_renamed_entry_has_kept_ends_with_its_overdue_move(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No ledger knows the account's new name, and nobody but the directory that its mail waits."""
    entries = {"zoe": FakeActs(FakeSite(entry=False)), "zoe.martin": FakeActs(FakeSite(held=True))}
    monkeypatch.setattr(move, "SiteActs", lambda access, ledger, account, owner: entries[account])
    monkeypatch.setattr(move, "are_held", lambda _: [name for name, acts in entries.items() if acts.site.held])
    monkeypatch.setattr(move, "PATIENCE", 0.0)
    left(run.ledger, "zoe", seconds=-1)
    with pytest.raises(move.NotAllEnded, match="the directory has no entry of the account zoe") as told:
        move.end_what_was_left(run, overdue_only=True)
    assert told.value.ended == ["zoe", "zoe.martin"] and not entries["zoe.martin"].site.held


def test_a_directory_that_does_not_say_who_is_held_keeps_nobody_from_moving(
    run: Run, acts: FakeActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move, "are_held", lambda _: fail_with(AccessError("ldap can't be reached")))
    assert holds.undo_overdue(run) == []
    assert "holds that no move has were not all looked for: ldap can't be reached" in run.outcome.sentence


def test_a_hold_that_no_move_has_stands_in_the_way_of_none(
    run: Run, acts: FakeActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []
    monkeypatch.setattr(move, "_prepare", lambda *_: held.append(acts.site.held))
    assert move.move(run, "zoe", "new", 0) == "moved"
    assert held == [False]


def test_the_preflight_tries_the_hold_under_a_lease_and_takes_away_what_one_that_was_killed_has_left(
    run: Run, acts: FakeActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = run.site.functional_tests.account

    def look(access: object) -> list[Finding]:
        assert not acts.site.held and probe in leases.held_by_others(run.ledger, "another task")
        return [ok("mx: hold", "it was held and let go")]

    monkeypatch.setattr(checks, "preflight_of_moves", look)
    monkeypatch.setattr(checks, "SiteActs", lambda *_: acts)
    assert checks.preflight_moves(run)["ok"] == 1
    monkeypatch.setattr(checks, "preflight_of_moves", lambda _: pytest.fail("somebody moves the probe"))
    with leases.lease(run.ledger, probe, "a move"), pytest.raises(leases.LeaseHeld):
        checks.preflight_moves(replace(run, holder="command line"))


def test_an_entry_of_the_probe_that_can_not_be_held_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> None:
        raise CannotMove("`mailHost` has no value, neither 'old' nor 'new': mend the entry or the site file")

    monkeypatch.setattr(preflight.Entry, "check", refuse)
    (found,) = preflight.hold(FakeAccess())
    assert (found.level, found.subject) == ("failure", "hold") and "mend the entry" in found.sentence


def test_one_that_can_not_be_ended_holds_up_no_other_and_is_told(
    run: Run, acts: FakeActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move, "PATIENCE", 0.0)
    left(run.ledger, "zoe")
    left(run.ledger, "anna")
    acts.fail["release"] = AccessError("mx can't be reached")
    with pytest.raises(NeedsPerson, match=r"the move of zoe stands still.*mx can't be reached"):
        move.end_what_was_left(run, overdue_only=False)
    assert [held.account for held in move.held(run)] == ["zoe"]


def test_who_has_moved_is_left_alone_by_the_day_until_it_is_back(ledger: Ledger) -> None:
    moves.note(ledger, left(ledger, "zoe"), State.DONE)
    moves.note(ledger, left(ledger, "anna"), State.UNDONE)
    assert moves.not_moved(ledger, ["anna", "bert", "zoe"]) == ["anna", "bert"]
    moves.note(ledger, moves.begin(ledger, "zoe", "old", {}, "run-2"), State.DONE)
    assert moves.not_moved(ledger, ["anna", "bert", "zoe"]) == ["anna", "bert", "zoe"]


def uids_changed(ledger: Ledger, account: str) -> None:
    with ledger.session() as session:
        store.report(session, Problem(account, "mailbox", "uids-changed", "INBOX", "other UIDs", proposal=ACCEPT))
        mailboxes.set_mailbox(session, account, "problems", problems=1)


def test_a_pass_that_comes_after_its_move_carries_nothing_and_what_was_accepted_is_settled(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a `prepare` that had listed the account before, or after the answer to what its move has met."""
    monkeypatch.setattr(mailbox, "one_pass", lambda *_, **__: pytest.fail("its user works on new"))
    moves.note(run.ledger, left(run.ledger, "zoe"), State.DONE)
    uids_changed(run.ledger, "zoe")
    mailbox.sync(run, "zoe", last_try=False)
    assert [problem.state for problem in store.problems(run.ledger)] == ["open"]
    decide(run.ledger)
    assert mailbox.sync(run, "zoe", last_try=False)["copied"] == 0
    found = store.problems(run.ledger, states=("open", "decided", "settled"))
    assert [problem.state for problem in found] == ["settled"]
    assert mailboxes.mailbox_states(run.ledger)["zoe"].state == "verified"


def test_who_has_moved_is_not_kept_on_old_by_an_answer_that_comes_later(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day would send its mail back to old."""
    uids_changed(run.ledger, "zoe")
    uids_changed(run.ledger, "anna")
    moves.note(run.ledger, left(run.ledger, "zoe"), State.DONE)
    with pytest.raises(AnswerRefused, match="zoe can't be kept on the old server: it has moved to new on its own"):
        decide(run.ledger, option=Option.KEEP_ON_OLD)
    decide(run.ledger, *store.problems(run.ledger, account="anna"), option=Option.KEEP_ON_OLD)
    moves.note(run.ledger, left(run.ledger, "anna"), State.DONE)
    monkeypatch.setattr(kept_on_old.accounts, "names", lambda _: ["anna", "zoe"])
    assert kept_on_old.send_mail_to_old(run) == []


def test_who_has_moved_and_was_renamed_since_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    moves.note(run.ledger, left(run.ledger, "zoe"), State.DONE)
    found = [Account("anna", ""), Account("zoe.martin", "")]
    monkeypatch.setattr(move.accounts.directory, "accounts", lambda *_: found)
    assert move.accounts.list_accounts(run) == ["anna", "zoe.martin"]
    said = capsys.readouterr().out
    assert "one that was renamed since counts as somebody who has not moved" in said and "zoe" in said
    move.accounts.list_accounts(replace(run, selection="anna"))
    assert "renamed" not in capsys.readouterr().out


def test_accounts_move_after_prepare_and_not_during_the_day(ledger: Ledger) -> None:
    with pytest.raises(phases.PhaseRefused, match="`prepare` has not finished"):
        phases.require(ledger, "move")
    phases.mark(ledger, "prepare", "finished", ORIGIN)
    phases.require(ledger, "move")
    phases.mark(ledger, "freeze", "started", ORIGIN)
    with pytest.raises(phases.PhaseRefused, match="the freeze began at"):
        phases.require(ledger, "move")
    phases.mark(ledger, "rollback", "finished", ORIGIN)
    phases.require(ledger, "move")


@pytest.mark.parametrize("name", phases.FOR_EVERYBODY)
@pytest.mark.parametrize("dry_run", [False, True])
def test_what_stops_services_and_moves_addresses_is_for_everybody(run: Run, name: str, dry_run: bool) -> None:
    """Who was left out would have had no last pass, and his addresses would go to new all the same."""
    for needed in phases.NEEDS.values():
        phases.mark(run.ledger, needed, "finished", ORIGIN)
    this = replace(run, origin=replace(ORIGIN, phase=name, task="begin"), dry_run=dry_run)
    with pytest.raises(NeedsPerson, match=rf"`{name}` is for everybody.*triggered for 'anna, zoe' alone"):
        check_phase(replace(this, selection="anna, zoe"))
    for everybody in ("all", " all ", ""):
        check_phase(replace(this, selection=everybody))


def test_the_freeze_does_not_come_into_a_move(run: Run) -> None:
    """Its mail would wait at the MX for the whole night, and what the move needs is stopped."""
    phases.mark(run.ledger, "prepare", "finished", ORIGIN)
    freeze = replace(run, origin=replace(ORIGIN, phase="freeze", task="begin"))
    held = left(run.ledger, "zoe", State.CARRYING)
    with pytest.raises(NeedsPerson, match=r"1 account\(s\) are being moved on their own: zoe \(carrying\)\. Stop"):
        phase.begin(freeze)
    assert phases.marked(run.ledger, "freeze", "started") is None, "so that `move` may still end it"
    moves.note(run.ledger, held, State.DONE)
    phase.begin(freeze)
    assert phases.marked(run.ledger, "freeze", "started")


def test_a_move_that_begins_while_the_freeze_does_is_seen(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    phases.mark(run.ledger, "prepare", "finished", ORIGIN)
    freeze = replace(run, origin=replace(ORIGIN, phase="freeze", task="begin"))
    looks = iter([[], [left(run.ledger, "zoe", State.HOLDING)]])
    monkeypatch.setattr(moves, "all_under_way", lambda _: next(looks))
    with pytest.raises(NeedsPerson, match="zoe"):
        phase.begin(freeze)


@pytest.mark.parametrize("origin", [ORIGIN, journal.Origin("command line", task="moves move")])
def test_whom_the_freeze_overtakes_during_the_passes_before_is_not_held(
    run: Run, acts: FakeActs, monkeypatch: pytest.MonkeyPatch, origin: journal.Origin
) -> None:
    acts.site.held = False
    monkeypatch.setattr(move, "_prepare", lambda *_: phases.mark(run.ledger, "freeze", "started", ORIGIN))
    with pytest.raises(phases.PhaseRefused, match="the freeze began at"):
        move.move(replace(run, origin=origin), "zoe", "new", 0)
    assert (acts.done, moves.all_under_way(run.ledger)) == ([], [])


def test_who_stays_on_old_by_decision_is_not_held_either(
    run: Run, acts: FakeActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decided after the accounts were listed, or named on the command line."""
    acts.site.held = False
    monkeypatch.setattr(mailbox, "pass_over", lambda *_, **__: pytest.fail("its passes carry nothing"))
    with run.ledger.session() as session:
        store.report(session, Problem("zoe", "mailbox", "folder-name", "a//b", "new refuses it"))
    decide(run.ledger, option=Option.KEEP_ON_OLD)
    with pytest.raises(NeedsPerson, match="zoe was not moved: anne has decided that its mailbox stays on old"):
        move.move(run, "zoe", "new", 0)
    assert (acts.done, moves.all_under_way(run.ledger)) == ([], [])


def test_a_filter_that_finds_nobody_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a run of nobody would end as if all was well."""
    monkeypatch.setattr(move.accounts.directory, "accounts", lambda *_: [])
    with pytest.raises(NeedsPerson, match=r"'\(ou=optic\)' finds no account"):
        move.list_to_move(replace(run, selection="(ou=optic)"), "new")


def test_a_site_without_moves_says_what_is_missing(ledger: Ledger) -> None:
    site = SITE.model_copy(update={"moves": None})
    with pytest.raises(NeedsPerson, match=r"no part `moves`: docs/moves\.md"):
        move.list_to_move(Run(site, FakeAccess(site), ledger, ORIGIN), "new")


def test_the_command_line_shows_every_hold_with_its_age(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left(ledger, "zoe", State.CARRYING)
    left(ledger, "anna", State.RELEASING, seconds=-1)
    monkeypatch.setattr(move, "are_held", lambda _: ["anna", "zoe"])
    assert said_of_holds(ledger, monkeypatch, capsys) == [
        "zoe: held for 0 s; carrying, on its way to new",
        "anna: held for 0 s, longer than it may be; releasing, on its way to new",
    ]


def said_of_holds(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    monkeypatch.setenv("BASCULE_LEDGER", ledger.url)
    monkeypatch.setenv("BASCULE_SITE", str(Path(__file__).parents[3] / "lab" / "site.yaml"))
    assert command_line.main(["holds"]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_command_line_shows_holds_that_the_directory_alone_knows(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(move, "are_held", lambda _: ["zoe.martin"])
    (line,) = said_of_holds(ledger, monkeypatch, capsys)
    assert line.startswith("zoe.martin: held in the directory, and no move of it is in the ledger")


def test_the_command_line_says_so_when_nobody_is_held(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(move, "are_held", lambda _: [])
    assert said_of_holds(ledger, monkeypatch, capsys) == ["nobody's mail is held"]


def test_a_hold_whose_move_begins_or_ends_meanwhile_has_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = left(run.ledger, "zoe")

    def are_held(_: object) -> list[str]:
        left(run.ledger, "anna")
        moves.note(run.ledger, ends, State.DONE)
        return ["anna", "bert", "zoe"]

    monkeypatch.setattr(move, "are_held", are_held)
    assert move.held_without_move(run) == ["bert"]


def test_calendars_move_with_the_mail_whoever_finishes_the_move(
    led: Run, acts: FakeActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's watch of holds has no time for it, and leaves it to the run's last task."""
    carried = list[list[str]]()
    monkeypatch.setattr(calendars, "carry", lambda run, accounts: carried.append(accounts))
    acts.site.at = "new"
    left(led.ledger, "zoe", State.RELEASING, seconds=-1)
    assert move.end_what_was_left(led, overdue_only=True) == ["zoe"]
    (told,) = [entry for entry in journal.entries(led.ledger) if entry.parameters["what"] == "calendars left"]
    assert (carried, told.subject) == ([], "zoe")
    assert "still on old" in told.note and "run `move` for it again, to new" in told.note
    left(led.ledger, "anna", State.RELEASING)
    assert move.end_what_was_left(led, overdue_only=False) == ["anna"]
    assert carried == [["anna"], ["zoe"]]
    move.end_what_was_left(led, overdue_only=False)
    assert len(carried) == 2


def test_calendars_that_the_last_task_can_not_carry_are_named(
    led: Run, acts: FakeActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts.site.at = "new"
    monkeypatch.setattr(calendars, "carry", lambda *_: fail_with(AccessError("sogo can't be reached")))
    left(led.ledger, "zoe", State.RELEASING)
    assert move.end_what_was_left(led, overdue_only=False) == ["zoe"]
    last = journal.entries(led.ledger, subject="zoe")[-1]
    assert "the calendars and address books of zoe are still on old (sogo can't be reached)" in last.note


def fail_with(error: Exception) -> None:
    raise error


def test_calendars_move_also_where_the_move_is_not_proven(
    led: Run, acts: FakeActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried = list[list[str]]()
    monkeypatch.setattr(calendars, "carry", lambda run, accounts: carried.append(accounts))
    monkeypatch.setattr(move, "_prepare", lambda *_: None)
    monkeypatch.setattr(move, "PATIENCE", 0.0)
    acts.fail["prove"] = AccessError("no answer in time")
    with pytest.raises(NeedsPerson, match=r"zoe is on new.*no answer in time"):
        move.move(led, "zoe", "new", 0)
    assert carried == [["zoe"]]


def test_an_account_whose_way_back_is_finished_later_goes_the_usual_way_from_then_on(
    run: Run, acts: FakeActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned = list[str]()
    monkeypatch.setattr(move, "stay_on_old", lambda _, account: turned.append(account))
    begun = moves.begin(run.ledger, "zoe", "old", {}, "run-0")
    moves.note(run.ledger, begun, State.RELEASING)
    left(run.ledger, "anna", State.QUIETING)
    move.end_what_was_left(run, overdue_only=False)
    assert turned == ["zoe"]


def test_calendars_that_move_with_the_mail_are_carried_after_it_and_left_alone_by_the_day(
    run: Run, led: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by the next try, when they could not be carried: the mail has moved then."""
    acts, carried = FakeActs(FakeSite()), list[list[str]]()

    def carry(run: Run, accounts: list[str]) -> None:
        carried.append(accounts)
        if len(carried) == 1:
            assert acts.site.at == "new" and not acts.site.held
            raise AccessError("sogo can't be reached")

    monkeypatch.setattr(move, "SiteActs", lambda *_: acts)
    monkeypatch.setattr(move, "_prepare", lambda *_: None)
    monkeypatch.setattr(calendars, "carry", carry)
    with pytest.raises(AccessError):
        move.move(led, "zoe", "new", 0)
    assert move.move(led, "zoe", "new", 0) == "was there"
    assert carried == [["zoe"], ["zoe"]]
    assert move.move(led, "zoe", "new", 0) == "was there"
    assert carried == [["zoe"], ["zoe"]], "they are the owner's own on new by now"
    calendars.migrate(led, ["anna", "zoe"])
    assert carried[2:] == [["anna"]]
    move.move(led, "zoe", "old", 0)
    calendars.migrate(run, ["anna", "zoe"])
    assert carried[3:] == [["anna", "zoe"]]
    assert move.move(led, "zoe", "new", 0) == "moved"
    assert carried[4:] == [["zoe"]]

"""How any change is run and undone, and what the journal then says: also after crashes and failures."""

from typing import Any

import pytest
from bascule import changes
from bascule.changes import acts, base
from bascule.changes.base import Change, ChangeFailed, Outcome
from bascule.ledger import Ledger, journal

from tests.unit.changes.fakes import FakeAccess, Switch

ORIGIN = journal.Origin("freeze", "run 1", "stop", "postmaster")


@pytest.fixture
def world() -> dict[str, Any]:
    return {"switch": "off", "other": "off"}


def switch(world: dict[str, Any], wanted: str = "on", name: str = "switch") -> Switch:
    return Switch(FakeAccess(), world, wanted, name)


def events(ledger: Ledger) -> list[str]:
    return [entry.event for entry in journal.entries(ledger)]


def undo_everything(ledger: Ledger, world: dict[str, Any]) -> None:
    """What a rollback does: each act in force, the newest first."""
    for act in acts.in_force(journal.entries(ledger)):
        base.undo(switch(world, act.parameters["wanted"], act.subject), act.before, ledger, ORIGIN)


def crash(ledger: Ledger, world: dict[str, Any], wanted: str = "on", name: str = "switch") -> None:
    """The process is killed between intent and outcome."""
    change = switch(world, wanted, name)
    change.crash_in_apply = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        base.run(change, ledger, ORIGIN)


def test_a_change_is_noted_before_and_after_it_is_applied(ledger: Ledger, world: dict[str, Any]) -> None:
    result = base.run(switch(world), ledger, ORIGIN)
    assert (result.outcome, result.before, result.after) == (Outcome.DONE, {"value": "off"}, {"value": "on"})
    intent, done = journal.entries(ledger)
    assert (intent.event, intent.before, intent.after) == ("intent", {"value": "off"}, {"value": "on"})
    assert (done.event, done.before, done.after) == ("done", {"value": "off"}, {"value": "on"})
    assert intent.origin == done.origin == ORIGIN


def test_the_intent_is_in_the_journal_when_the_change_is_applied(ledger: Ledger, world: dict[str, Any]) -> None:
    crash(ledger, world)
    assert events(ledger) == ["intent"]


def test_what_is_already_so_is_verified_and_noted_as_unchanged(ledger: Ledger, world: dict[str, Any]) -> None:
    world["switch"] = "on"
    assert base.run(switch(world), ledger, ORIGIN).outcome == Outcome.UNCHANGED
    assert events(ledger) == ["unchanged"]


def test_what_is_already_so_but_not_from_outside_is_a_failure(ledger: Ledger, world: dict[str, Any]) -> None:
    world["switch"] = "on"
    change = switch(world)
    change.wrong_from_outside = True
    with pytest.raises(ChangeFailed):
        base.run(change, ledger, ORIGIN)
    assert events(ledger) == ["failed"]
    assert acts.in_force(journal.entries(ledger)) == []


@pytest.mark.parametrize(("present", "outcome"), [("off", Outcome.WOULD_CHANGE), ("on", Outcome.UNCHANGED)])
def test_a_dry_run_changes_and_notes_nothing(
    ledger: Ledger, world: dict[str, Any], present: str, outcome: Outcome
) -> None:
    world["switch"] = present
    assert base.run(switch(world), ledger, ORIGIN, dry_run=True).outcome == outcome
    assert world["switch"] == present
    assert events(ledger) == []


def test_a_failed_verification_is_noted_with_what_is_there(ledger: Ledger, world: dict[str, Any]) -> None:
    change = switch(world)
    change.wrong_from_outside = True
    with pytest.raises(ChangeFailed):
        base.run(change, ledger, ORIGIN)
    failed = journal.entries(ledger, event="failed")[0]
    assert (failed.before, failed.after) == ({"value": "off"}, {"value": "on"})
    assert failed.note == "seen from outside it is not so"


def test_a_change_that_is_verified_at_the_second_try_goes_back_to_the_state_before_the_first(
    ledger: Ledger, world: dict[str, Any]
) -> None:
    change = switch(world)
    change.wrong_from_outside = True
    with pytest.raises(ChangeFailed):
        base.run(change, ledger, ORIGIN)
    result = base.run(switch(world), ledger, ORIGIN)
    assert (result.outcome, result.before) == (Outcome.DONE, {"value": "off"})
    assert events(ledger) == ["intent", "failed", "done"]
    undo_everything(ledger, world)
    assert world["switch"] == "off"


def test_an_unforeseen_error_is_noted_too(ledger: Ledger, world: dict[str, Any]) -> None:
    change = switch(world)
    change.crash_in_apply = KeyError("units")
    with pytest.raises(KeyError):
        base.run(change, ledger, ORIGIN)
    failed = journal.entries(ledger, event="failed")[0]
    assert (failed.note, failed.after) == ("a mistake in Bascule ('units'): report it", {"value": "half"})


def test_after_a_crash_the_next_try_ends_the_same_act(ledger: Ledger, world: dict[str, Any]) -> None:
    crash(ledger, world)
    assert world["switch"] == "half"
    result = base.run(switch(world), ledger, ORIGIN)
    assert (result.outcome, result.before) == (Outcome.DONE, {"value": "off"})
    assert [act.before for act in acts.in_force(journal.entries(ledger))] == [{"value": "off"}]


def test_a_crash_after_the_change_was_applied_is_found_and_the_outcome_noted(
    ledger: Ledger, world: dict[str, Any]
) -> None:
    crash(ledger, world)
    world["switch"] = "on"
    assert base.run(switch(world), ledger, ORIGIN).outcome == Outcome.DONE
    assert events(ledger) == ["intent", "done"]
    undo_everything(ledger, world)
    assert world["switch"] == "off"


def test_a_half_change_that_was_never_ended_is_undone_too(ledger: Ledger, world: dict[str, Any]) -> None:
    crash(ledger, world)
    undo_everything(ledger, world)
    assert world["switch"] == "off"
    assert acts.in_force(journal.entries(ledger)) == []


def test_a_new_run_after_an_undo_begins_a_new_act(ledger: Ledger, world: dict[str, Any]) -> None:
    base.run(switch(world), ledger, ORIGIN)
    undo_everything(ledger, world)
    world["switch"] = "dimmed"
    assert base.run(switch(world), ledger, ORIGIN).before == {"value": "dimmed"}


def test_acts_on_one_subject_are_undone_in_reverse_order(ledger: Ledger, world: dict[str, Any]) -> None:
    base.run(switch(world, "low"), ledger, ORIGIN)
    base.run(switch(world, "high", "other"), ledger, ORIGIN)
    base.run(switch(world, "on"), ledger, ORIGIN)
    order = [(act.subject, act.before["value"]) for act in acts.in_force(journal.entries(ledger))]
    assert order == [("switch", "low"), ("other", "off"), ("switch", "off")]
    undo_everything(ledger, world)
    assert world == {"switch": "off", "other": "off"}


def test_another_act_after_a_crash_does_not_hide_what_the_crash_left(ledger: Ledger, world: dict[str, Any]) -> None:
    crash(ledger, world, "low")
    base.run(switch(world, "high"), ledger, ORIGIN)
    assert base.run(switch(world, "low"), ledger, ORIGIN).before == {"value": "high"}
    undo_everything(ledger, world)
    assert world["switch"] == "off"


def test_the_same_change_done_twice_is_undone_twice(ledger: Ledger, world: dict[str, Any]) -> None:
    base.run(switch(world), ledger, ORIGIN)
    world["switch"] = "off by somebody"
    base.run(switch(world), ledger, ORIGIN)
    undo_everything(ledger, world)
    assert world["switch"] == "off"


def test_an_undo_that_fails_leaves_the_act_in_force(
    ledger: Ledger, world: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    base.run(switch(world), ledger, ORIGIN)

    def fail(self: Switch, before: base.State) -> None:
        raise ChangeFailed("stuck")

    with monkeypatch.context() as patched, pytest.raises(ChangeFailed):
        patched.setattr(Switch, "revert", fail)
        undo_everything(ledger, world)
    assert journal.entries(ledger)[-1].note == "revert: stuck"
    undo_everything(ledger, world)
    assert (world["switch"], acts.in_force(journal.entries(ledger))) == ("off", [])


def test_a_dry_undo_changes_and_notes_nothing(ledger: Ledger, world: dict[str, Any]) -> None:
    base.run(switch(world), ledger, ORIGIN)
    base.undo(switch(world), {"value": "off"}, ledger, ORIGIN, dry_run=True)
    assert (world["switch"], events(ledger)) == ("on", ["intent", "done"])


PARAMETERS: dict[str, dict[str, Any]] = {
    "service": {"service": "imap_old", "state": "stopped"},
    "restart": {"service": "imap_old", "since": "2026-06-27T06:00:00+00:00"},
    "virtual_machine": {"state": "shut off"},
    "firewall": {"side": "old", "state": "isolated"},
    "directory": {"accounts": ["ada", "bob"]},
    "directory_kept": {"accounts": ["ada", "bob"]},
    "quota": {"account": "ada", "bytes": 1_000_000},
    "aliases": {},
    "address": {"service": "pop"},
    "webmail": {},
}


@pytest.mark.parametrize("name", changes.KINDS)
def test_every_kind_is_made_again_from_its_parameters(name: str) -> None:
    kind = changes.kind(name)
    made = kind.from_parameters(FakeAccess(), PARAMETERS[name])
    again = kind.from_parameters(FakeAccess(), made.parameters)
    assert isinstance(made, Change)
    assert (made.kind, again.subject, again.parameters) == (name, made.subject, PARAMETERS[name])

"""Standing decisions of the site file, as the tasks of filters and calendars take them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bascule import site
from bascule.ledger import Ledger, journal, mailboxes, phases
from bascule.ledger.base import now
from bascule.problems import record, store
from bascule.problems.model import Option, Problem, Room
from bascule.sieve import sync
from bascule.sieve.sync import FilterCounts
from bascule.tasks import calendars, filters
from bascule.tasks.run import NeedsPerson, Run

from tests.unit.problems.conftest import ORIGIN

Report = Callable[..., Problem]
SITE = site.load(Path(__file__).parents[3] / "lab" / "site.yaml")
TRANSFER = replace(ORIGIN, phase="transfer")
EVERYBODY = ["anna", "bert", "carl"]
FILTER = {"room": "sieve", "kind": "filter never ran", "proposal": {"action": "repair", "text": "keep;"}}
EVENT = {"room": "calendar", "kind": "journal", "proposal": {"action": "journal_to_task"}}


def run_with(ledger: Ledger, decisions: dict[str, str], *, dry_run: bool = False) -> Run:
    decided = SITE.model_copy(update={"decisions": decisions})
    return Run(decided, None, ledger, ORIGIN, dry_run=dry_run, selection="all")  # type: ignore[arg-type]


def in_transfer(ledger: Ledger, decisions: dict[str, str] | None = None) -> Run:
    phases.mark(ledger, "transfer", "started", TRANSFER)
    return replace(run_with(ledger, decisions or {}), origin=TRANSFER)


def passed_now(ledger: Ledger, *accounts: str) -> None:
    with ledger.session() as session:
        for account in accounts:
            mailboxes.set_mailbox(session, account, "verified", last_pass_at=now())


@pytest.fixture
def folders() -> dict[str, str]:
    """Account -> fingerprint of its folders, where it is another one than everybody's."""
    return {}


@pytest.fixture
def passes(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, folders: dict[str, str]) -> list[list[str]]:
    """Puts these in the place of the passes over filters and calendars; the accounts of each call."""
    called: list[list[str]] = []

    def settle_decided(accounts: Sequence[str], room: Room) -> None:
        with ledger.session() as session:
            for account in accounts:
                for problem, _ in store.decisions(ledger, account, room):
                    store.settle(session, problem.id)

    def sync_filters(access: Any, ledger: Ledger, accounts: Sequence[str], **_: Any) -> FilterCounts:
        called.append([*accounts])
        settle_decided(accounts, "sieve")
        waiting = [name for name in accounts if store.problems(ledger, account=name, room="sieve")]
        return FilterCounts(
            problems=len(waiting), waiting=waiting, folders={name: folders.get(name, "same") for name in accounts}
        )

    def events(access: Any, ledger: Ledger, accounts: Sequence[str], **_: Any) -> dict[str, Any]:
        called.append([*accounts])
        settle_decided(accounts, "calendar")
        return {}

    def folders_known_now(access: Any, ledger: Ledger, accounts: Sequence[str]) -> dict[str, str]:
        return {name: folders.get(name, "same") for name in accounts}

    monkeypatch.setattr(sync, "sync_filters", sync_filters)
    monkeypatch.setattr(sync, "folders_known_now", folders_known_now)
    monkeypatch.setattr(calendars, "sync_accounts", events)
    return called


def convert(run: Run, **options: bool) -> list[str]:
    return filters.convert(run, EVERYBODY, **options)


def migrate(run: Run) -> list[str]:
    return calendars.migrate(run, EVERYBODY)


def in_force(ledger: Ledger) -> list[tuple[str, str, str, Option]]:
    return [(each.account, each.state, how.source, how.option) for each, how in store.all_decisions(ledger)]


def test_a_filter_that_the_site_file_decides_about_asks_nobody_and_is_converted_again(
    ledger: Ledger, report: Report, passes: list[list[str]]
) -> None:
    report(account="bert", **FILTER)
    assert convert(run_with(ledger, {"sieve/filter never ran": "apply"})) == []
    assert passes == [EVERYBODY, ["bert"]]
    assert in_force(ledger) == [("bert", "settled", "standing", Option.APPLY)]
    (decided,) = journal.entries(ledger, event="decision")
    assert (decided.after or {})["decided_by"] == "the site file"


def test_an_account_with_another_kind_beside_it_is_asked_about_that_one(
    ledger: Ledger, report: Report, passes: list[list[str]]
) -> None:
    report(account="bert", **FILTER)
    report(account="bert", **{**FILTER, "kind": "filter not compiling"})
    assert convert(run_with(ledger, {"sieve/filter never ran": "apply"})) == ["bert"]
    assert [each.kind for each in store.problems(ledger)] == ["filter not compiling"]


def test_without_a_standing_decision_a_person_is_asked(ledger: Ledger, report: Report, passes: list[list[str]]) -> None:
    report(account="bert", **FILTER)
    report(account="carl", **EVENT)
    run = run_with(ledger, {"mailbox/folder-name": "apply"})
    assert (convert(run), migrate(run)) == (["bert"], ["carl"])
    assert (passes, in_force(ledger)) == ([EVERYBODY, EVERYBODY], [])


def test_a_look_decides_and_puts_nothing_on_new(ledger: Ledger, report: Report, passes: list[list[str]]) -> None:
    report(account="bert", **FILTER)
    assert convert(run_with(ledger, {"sieve/filter never ran": "apply"}), only_look=True) == []
    assert passes == [EVERYBODY]
    assert in_force(ledger) == [("bert", "decided", "standing", Option.APPLY)]


@pytest.mark.parametrize("option", [None, Option.LEAVE_OUT, Option.KEEP_ON_OLD])
def test_the_filters_of_a_mailbox_that_can_not_be_reached_hold_no_others_back(
    ledger: Ledger, report: Report, passes: list[list[str]], option: Option | None
) -> None:
    found = report(account="bert", room="account", kind="no-mailbox", proposal={"action": "leave out"})
    if option:
        record.record(ledger, [record.Choice(found, option)], record.Author("postmaster", "page", ORIGIN))
    assert convert(run_with(ledger, {})) == []
    assert passes == [["anna", "carl"]]


def test_what_a_standing_decision_did_not_settle_is_asked_of_a_person(
    ledger: Ledger, report: Report, passes: list[list[str]]
) -> None:
    """Decided before on the same facts, and met again: the site file is not believed twice."""
    run = run_with(ledger, {"sieve/filter never ran": "apply"})
    problem = report(account="bert", **FILTER)
    convert(run)
    began = now()
    with ledger.session() as session:
        store.report(session, problem)
        store.reopen_unsettled(session, "bert", ("sieve",), since=began)
    assert convert(run) == ["bert"]
    with pytest.raises(NeedsPerson, match="the filters of bert still need a person"):
        convert(run, all_settled=True)
    assert len(journal.entries(ledger, event="decision")) == 1


def test_filters_are_settled_for_those_alone_whose_folders_or_decisions_have_changed(
    ledger: Ledger, report: Report, passes: list[list[str]], folders: dict[str, str]
) -> None:
    run = in_transfer(ledger)
    passed_now(ledger, *EVERYBODY)
    convert(run, all_settled=True)
    assert passes.pop() == EVERYBODY, "this run has not converted them"
    passed_now(ledger, *EVERYBODY)
    convert(run, all_settled=True)
    assert passes.pop() == [], "their folders are as they were"
    folders["bert"] = "renamed"
    convert(run, all_settled=True)
    assert passes.pop() == ["bert"]
    problem = report(account="carl", **FILTER)
    with pytest.raises(NeedsPerson):
        convert(run, all_settled=True)
    assert passes.pop() == ["carl"]
    record.record(ledger, [record.Choice(problem, Option.APPLY)], record.Author("postmaster", "page", ORIGIN))
    convert(run, all_settled=True)
    assert passes.pop() == ["carl"]
    convert(replace(run, origin=replace(TRANSFER, run="the next one")), all_settled=True)
    assert passes.pop() == EVERYBODY, "another run has converted them"


def test_folders_are_compared_for_those_alone_whose_mailbox_had_a_pass(
    ledger: Ledger, passes: list[list[str]], folders: dict[str, str]
) -> None:
    passed_now(ledger, "anna", "carl")
    run = in_transfer(ledger)
    convert(run)
    passed_now(ledger, "carl")
    folders.update(anna="not asked for", carl="renamed")
    convert(run, all_settled=True)
    assert passes[1:] == [["carl"]]


def test_filters_that_waited_for_their_mailbox_are_converted_when_all_is_settled(
    ledger: Ledger, report: Report, passes: list[list[str]], folders: dict[str, str]
) -> None:
    run = in_transfer(ledger)
    report(account="bert", room="account", kind="no-mailbox", proposal={"action": "leave out"})
    convert(run)
    with ledger.session() as session:
        store.withdraw_unseen(session, "bert", "account", seen=())
    convert(run, all_settled=True)
    assert passes == [["anna", "carl"], ["bert"]]


def test_folders_of_a_mailbox_that_cannot_be_reached_are_not_compared(
    ledger: Ledger, report: Report, passes: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How a server builds names is asked of it as the first of those whose folders are compared."""
    run = in_transfer(ledger)
    convert(run)
    passed_now(ledger, *EVERYBODY)
    report(account="anna", room="account", kind="no-mailbox", proposal={"action": "leave out"})
    compared: list[str] = []
    monkeypatch.setattr(sync, "folders_known_now", lambda *given: compared.extend(given[2]) or dict.fromkeys(given[2]))
    convert(run, all_settled=True)
    assert (compared, passes[1:]) == (["bert", "carl"], [["bert", "carl"]])


def test_who_is_not_done_with_is_settled_whatever_the_folders_are(
    ledger: Ledger, passes: list[list[str]], folders: dict[str, str]
) -> None:
    passed_now(ledger, *EVERYBODY)
    run = in_transfer(ledger)
    folders["carl"] = ""
    convert(run)
    del folders["carl"]
    convert(run, all_settled=True)
    convert(run, all_settled=True)
    assert passes[1:] == [["carl"], []]


def test_what_a_run_noted_before_a_way_back_does_not_count_when_it_begins_anew(
    ledger: Ledger, passes: list[list[str]]
) -> None:
    run = in_transfer(ledger)
    convert(run)
    passed_now(ledger, *EVERYBODY)
    phases.mark(ledger, "rollback", "finished", replace(ORIGIN, phase="rollback", run="back"))
    convert(run, all_settled=True)
    assert passes.pop() == EVERYBODY, "it has not begun anew"
    phases.mark(ledger, "transfer", "started", TRANSFER)
    convert(run, all_settled=True)
    convert(run, all_settled=True)
    assert passes[1:] == [EVERYBODY, []]


def test_filters_that_a_person_has_repaired_are_known_by_what_their_folders_were_then(
    ledger: Ledger, passes: list[list[str]], folders: dict[str, str]
) -> None:
    run = in_transfer(ledger)
    convert(run)
    passed_now(ledger, *EVERYBODY)
    folders.update(anna="renamed", bert="")
    filters.settle(run, "anna")
    filters.settle(run, "bert")
    del folders["bert"]
    convert(run, all_settled=True)
    assert passes[1:] == [["anna"], ["bert"], ["bert"]], "not done with"


def test_filters_that_the_site_file_decides_about_are_known_by_what_their_folders_were_then(
    ledger: Ledger, report: Report, passes: list[list[str]], folders: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one_pass = sync.sync_filters

    def renamed_behind_it(*given: Any, **how: Any) -> FilterCounts:
        done = one_pass(*given, **how)
        folders["bert"] = "renamed"
        return done

    monkeypatch.setattr(sync, "sync_filters", renamed_behind_it)
    run = in_transfer(ledger, {"sieve/filter never ran": "apply"})
    report(account="bert", **FILTER)
    convert(run)
    passed_now(ledger, *EVERYBODY)
    convert(run, all_settled=True)
    assert passes == [EVERYBODY, ["bert"], []]


def test_an_event_that_the_site_file_decides_about_is_carried_again_at_once(
    ledger: Ledger, report: Report, passes: list[list[str]]
) -> None:
    report(account="carl", **EVENT)
    assert migrate(run_with(ledger, {"calendar/journal": "apply"})) == []
    assert passes == [EVERYBODY, ["carl"]]
    assert in_force(ledger) == [("carl", "settled", "standing", Option.APPLY)]


def test_a_dry_run_decides_nothing(ledger: Ledger, report: Report, passes: list[list[str]]) -> None:
    report(account="bert", **FILTER)
    report(account="carl", **EVENT)
    run = run_with(ledger, {"sieve/filter never ran": "apply", "calendar/journal": "apply"}, dry_run=True)
    assert (convert(run), migrate(run)) == ([], [])
    assert in_force(ledger) == []

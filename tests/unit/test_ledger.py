"""The ledger: the journal's chain, problems and decisions, leases, phases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from bascule.ledger import Ledger, journal, leases, phases, problems, rates
from bascule.ledger.base import now
from bascule.ledger.problems import Option, Problem

ORIGIN = journal.Origin("freeze", "run", "task", "postmaster")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def problem(**changes: object) -> Problem:
    values = {
        "account": "anna",
        "room": "mailbox",
        "kind": "folder name refused",
        "subject": "~x",
        "explanation": "The new server refuses this name.",
        "facts": {"name": "~x"},
        "proposal": {"action": "rename", "name": "x"},
    }
    return Problem(**{**values, **changes})  # type: ignore[arg-type]


def report(ledger: Ledger, **changes: object) -> int:
    with ledger.session() as session:
        return problems.report(session, problem(**changes))


def decide(ledger: Ledger, number: int, option: Option = Option.APPLY, name: str = "x") -> None:
    with ledger.session() as session:
        problems.decide(
            session, number, option, {"action": "rename", "name": name}, decided_by="p", source="page", origin=ORIGIN
        )


def write(ledger: Ledger, count: int) -> None:
    for number in range(count):
        journal.append(ledger, journal.Entry("note", "test", str(number), ORIGIN))


def test_the_chain_of_an_untouched_journal_holds(ledger: Ledger) -> None:
    write(ledger, 3)
    assert journal.broken_link(ledger) is None


@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        ("UPDATE journal SET note = 'other' WHERE number = 2", 2),
        ("UPDATE journal SET asked_by = 'somebody' WHERE number = 1", 1),
        ("DELETE FROM journal WHERE number = 2", 3),
    ],
)
def test_an_edit_or_a_gap_in_the_journal_shows(ledger: Ledger, tampering: str, found: int) -> None:
    write(ledger, 3)
    with ledger.session() as session:
        session.execute(sa.text(tampering))
    assert journal.broken_link(ledger) == found


def test_a_problem_met_again_is_no_second_one(ledger: Ledger) -> None:
    assert report(ledger) == report(ledger)
    assert len(problems.problems(ledger)) == 1


def test_a_decision_holds_while_the_facts_stay_the_same(ledger: Ledger) -> None:
    number = report(ledger)
    decide(ledger, number)
    report(ledger)
    assert problems.problems(ledger) == []
    assert [decision.option for _, decision in problems.decisions(ledger, "anna", "mailbox")] == [Option.APPLY]


def test_changed_facts_ask_again(ledger: Ledger) -> None:
    number = report(ledger)
    decide(ledger, number)
    report(ledger, facts={"name": "~x", "messages": 3})
    assert [item.id for item in problems.problems(ledger)] == [number]
    assert problems.decisions(ledger, "anna", "mailbox") == []


def test_the_same_decision_given_twice_stands_once_in_the_journal(ledger: Ledger) -> None:
    number = report(ledger)
    decide(ledger, number)
    decide(ledger, number)
    assert len(journal.entries(ledger, event="decision")) == 1


def test_another_decision_replaces_the_first_and_both_stay_in_the_journal(ledger: Ledger) -> None:
    number = report(ledger)
    decide(ledger, number, name="x")
    decide(ledger, number, name="y")
    ((_, decision),) = problems.decisions(ledger, "anna", "mailbox")
    assert decision.values["name"] == "y"
    assert len(journal.entries(ledger, event="decision")) == 2


def test_look_again_leaves_the_problem_open(ledger: Ledger) -> None:
    number = report(ledger)
    decide(ledger, number, Option.LOOK_AGAIN)
    assert [item.id for item in problems.problems(ledger)] == [number]


def test_a_problem_that_a_complete_look_does_not_meet_is_withdrawn(ledger: Ledger) -> None:
    report(ledger)
    with ledger.session() as session:
        assert problems.withdraw_unseen(session, "anna", "mailbox", seen=()) == 1
    assert problems.accounts_with_open(ledger) == []


def test_two_owners_never_hold_one_mailbox(ledger: Ledger) -> None:
    with (
        leases.lease(ledger, "anna", "one"),
        pytest.raises(leases.LeaseHeld, match="worked on by one"),
        leases.lease(ledger, "anna", "two"),
    ):
        pass


def test_a_lease_ends_with_its_task(ledger: Ledger) -> None:
    with leases.lease(ledger, "anna", "one"):
        pass
    with leases.lease(ledger, "anna", "two"):
        pass


def test_a_dead_task_loses_its_lease_by_time(ledger: Ledger) -> None:
    with ledger.session() as session:
        session.add(leases.LeaseRow(account="anna", owner="dead", expires_at=now() - timedelta(seconds=1)))
    with leases.lease(ledger, "anna", "two"):
        pass


def test_the_next_try_of_a_task_takes_its_own_lease_over_at_once(ledger: Ledger) -> None:
    with ledger.session() as session:
        session.add(leases.LeaseRow(account="anna", owner="same", expires_at=now() + timedelta(hours=1)))
    with leases.lease(ledger, "anna", "same"):
        pass


@pytest.mark.parametrize("phase", sorted(phases.NEEDS))
def test_a_phase_refuses_until_what_it_needs_has_finished(ledger: Ledger, phase: str) -> None:
    needed = phases.NEEDS[phase]
    with pytest.raises(phases.PhaseRefused, match=f"`{needed}` has not finished"):
        phases.require(ledger, phase)
    phases.mark(ledger, needed, "finished", ORIGIN)  # type: ignore[arg-type]
    phases.require(ledger, phase)


@pytest.mark.parametrize("phase", phases.NOT_AFTER_GO)
def test_after_the_go_nothing_takes_the_mail_away_again(ledger: Ledger, phase: str) -> None:
    for needed in ("prepare", "freeze", "transfer"):
        phases.mark(ledger, needed, "finished", ORIGIN)
    phases.mark(ledger, "cutover", "go", ORIGIN)
    with pytest.raises(phases.PhaseRefused, match="would take the mail away"):
        phases.require(ledger, phase)


def test_after_a_rollback_the_day_may_begin_again_but_prepare_still_counts(ledger: Ledger) -> None:
    phases.mark(ledger, "prepare", "finished", ORIGIN)
    phases.mark(ledger, "freeze", "finished", ORIGIN)
    phases.mark(ledger, "cutover", "go", ORIGIN)
    phases.mark(ledger, "rollback", "finished", ORIGIN)
    phases.require(ledger, "freeze")
    with pytest.raises(phases.PhaseRefused):
        phases.require(ledger, "transfer")


def test_what_is_reserved_of_a_rate_begins_where_the_last_reservation_ends(ledger: Ledger) -> None:
    waits = [rates.reserve(ledger, "old:993 bytes", seconds) for seconds in (100.0, 50.0, 1.0)]
    assert waits == [0.0, pytest.approx(100, abs=20), pytest.approx(150, abs=20)]


def test_rates_of_other_servers_and_kinds_are_schedules_of_their_own(ledger: Ledger) -> None:
    rates.reserve(ledger, "old:993 bytes", 100.0)
    assert rates.reserve(ledger, "old:993 messages", 100.0) == 0.0
    assert rates.reserve(ledger, "new:993 bytes", 100.0) == 0.0


def test_nobody_saves_up_what_was_not_used(ledger: Ledger) -> None:
    rates.reserve(ledger, "old:993 bytes", 0.001)
    with ledger.session() as session:
        session.execute(sa.update(rates.RateRow).values(free_at=rates.RateRow.free_at - 1000))
    assert rates.reserve(ledger, "old:993 bytes", 100.0) == 0.0
    assert rates.reserve(ledger, "old:993 bytes", 1.0) == pytest.approx(100, abs=20)


def test_reservations_made_at_once_do_not_overlap(ledger: Ledger) -> None:
    with ThreadPoolExecutor(4) as pool:
        waits = list(pool.map(lambda _: rates.reserve(ledger, "new:993 messages", 1000.0), range(8)))
    assert [round(wait / 1000) for wait in sorted(waits)] == list(range(8))

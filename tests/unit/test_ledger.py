"""The ledger: the journal's chain, problems and decisions, leases, phases."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from bascule.calendars import sync_account
from bascule.hosts.login import Endpoint, Login
from bascule.ledger import Ledger, LedgerAway, LedgerError, journal, leases, phases, rates
from bascule.ledger.base import now
from bascule.mailbox import MailboxJob, Server, sync_mailbox
from bascule.mailbox.carry_back import carry_back
from bascule.problems import store
from bascule.problems.model import Action, Option, Problem, Proposal
from bascule.sieve import sync as filters

ORIGIN = journal.Origin("freeze", "run", "task", "postmaster")


def problem(**changes: object) -> Problem:
    values = {
        "account": "anna",
        "room": "mailbox",
        "kind": "folder-name",
        "subject": "~x",
        "explanation": "The new server refuses this name.",
        "facts": {"name": "~x"},
        "proposal": Proposal(Action.RENAME, name="x"),
    }
    return Problem(**{**values, **changes})  # type: ignore[arg-type]


def report(ledger: Ledger, **changes: object) -> int:
    with ledger.session() as session:
        return store.report(session, problem(**changes))


def decide(ledger: Ledger, number: int, option: Option = Option.APPLY, name: str = "x") -> None:
    with ledger.session() as session:
        store.decide(
            session, number, option, Proposal(Action.RENAME, name=name), decided_by="p", source="page", origin=ORIGIN
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
    assert len(store.problems(ledger)) == 1


def test_a_decision_holds_while_the_facts_stay_the_same(ledger: Ledger) -> None:
    number = report(ledger)
    decide(ledger, number)
    report(ledger)
    assert store.problems(ledger) == []
    assert [decision.option for _, decision in store.decisions(ledger, "anna", "mailbox")] == [Option.APPLY]


def test_changed_facts_ask_again(ledger: Ledger) -> None:
    number = report(ledger)
    decide(ledger, number)
    report(ledger, facts={"name": "~x", "messages": 3})
    assert [item.id for item in store.problems(ledger)] == [number]
    assert store.decisions(ledger, "anna", "mailbox") == []


def test_the_same_decision_given_twice_stands_once_in_the_journal(ledger: Ledger) -> None:
    number = report(ledger)
    decide(ledger, number)
    decide(ledger, number)
    assert len(journal.entries(ledger, event="decision")) == 1


def test_another_decision_replaces_the_first_and_both_stay_in_the_journal(ledger: Ledger) -> None:
    number = report(ledger)
    decide(ledger, number, name="x")
    decide(ledger, number, name="y")
    ((_, decision),) = store.decisions(ledger, "anna", "mailbox")
    assert decision.chosen.name == "y"
    assert len(journal.entries(ledger, event="decision")) == 2


@pytest.mark.parametrize(
    "url", ["nonsense", "postgresql+psycopg2://bascule:secret@host:port/ledger", "mysql://bascule:secret@host/ledger"]
)
def test_what_is_no_address_of_a_ledger_is_told_without_its_password(url: str) -> None:
    with pytest.raises(LedgerError, match="BASCULE_LEDGER is no address") as raised:
        Ledger(url)
    assert "secret" not in str(raised.value) and url not in str(raised.value)


def test_look_again_leaves_the_problem_open(ledger: Ledger) -> None:
    number = report(ledger)
    decide(ledger, number, Option.LOOK_AGAIN)
    assert [item.id for item in store.problems(ledger)] == [number]


def test_a_problem_that_a_complete_look_does_not_meet_is_withdrawn(ledger: Ledger) -> None:
    report(ledger)
    with ledger.session() as session:
        assert store.withdraw_unseen(session, "anna", "mailbox", seen=()) == 1
    assert store.accounts_with_open(ledger) == []


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


def test_a_task_given_out_again_waits_for_the_process_that_still_works(ledger: Ledger) -> None:
    """Airflow's API server or the broker was away: the first process is alive and does not know of the second."""
    begun: list[str] = []

    def second() -> None:
        with leases.lease(ledger, "anna", "sync of process 1 on elsewhere", patience=60):
            begun.append("second")

    thread = threading.Thread(target=second)
    with leases.lease(ledger, "anna", leases.of_this_process("sync")):
        with pytest.raises(leases.LeaseHeld, match="is being worked on by sync of process"):
            leases.lease(ledger, "anna", "sync of process 1 on elsewhere").__enter__()
        thread.start()
        begun.append("first has ended")
    thread.join()
    assert begun == ["first has ended", "second"]


def test_a_lease_is_kept_though_the_ledger_was_away(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    real, failed = Ledger.session, threading.Event()

    def away(self: Ledger) -> Any:
        if threading.current_thread() is not threading.main_thread() and not failed.is_set():
            failed.set()
            raise LedgerError("the ledger can't be written")
        return real(self)

    with leases.lease(ledger, "anna", "one", seconds=1):
        monkeypatch.setattr(Ledger, "session", away)
        assert failed.wait(30)
        with ledger.reading() as session:
            expired_at = session.get_one(leases.LeaseRow, "anna").expires_at
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with ledger.reading() as session:
                if session.get_one(leases.LeaseRow, "anna").expires_at > expired_at:
                    break
            time.sleep(0.05)
        else:
            pytest.fail("the lease is renewed no more")


@pytest.mark.parametrize("act", ["opened", "read", "written"])
def test_a_database_that_is_away_is_told_as_what_may_pass(ledger: Ledger, act: str) -> None:
    """A port at which nobody listens stands in for a PostgreSQL that starts again."""
    nobody = "postgresql+psycopg2://bascule:secret@127.0.0.1:1/bascule"
    with pytest.raises(LedgerAway, match=rf"can't be {act}: .*refused") as away:
        if act == "opened":
            Ledger(nobody)
        ledger.url, ledger.engine = nobody, sa.create_engine(nobody)
        ledger._writer = ledger._reader = ledger.engine
        with ledger.reading() if act == "read" else ledger.session() as session:
            session.execute(sa.text("SELECT 1"))
    assert "secret" not in str(away.value)


def test_who_holds_a_lease_may_hold_it_once_more_and_keeps_it_to_the_end(ledger: Ledger) -> None:
    with leases.lease(ledger, "anna", "one"):
        with leases.lease(ledger, "anna", "one"):
            pass
        with pytest.raises(leases.LeaseHeld), leases.lease(ledger, "anna", "two"):
            pass


def test_a_command_line_that_was_killed_holds_nothing(ledger: Ledger) -> None:
    holding = "from bascule.ledger import Ledger, leases; import sys, time\n"
    holding += "with leases.lease(Ledger(sys.argv[1]), 'anna', leases.this_process('sync')):\n"
    holding += "    print('held', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", holding, ledger.url], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(leases.LeaseHeld, match=f"by sync 1 of process {process.pid} on "):
            leases.lease(ledger, "anna", "two").__enter__()
        process.kill()
    with leases.lease(ledger, "anna", "two"):
        pass


def ways_in(ledger: Any) -> dict[str, Callable[[], Any]]:
    """Everything of the package that works on an account, by what it holds. The servers are never asked."""
    nowhere: Any = Server(Endpoint("127.0.0.1", 9), Login("anna", "secret"))
    job = MailboxJob("anna", nowhere, nowhere)
    return {
        "mailbox": lambda: sync_mailbox(job, ledger),
        "mailbox by a dry run": lambda: sync_mailbox(job, ledger, dry_run=True),
        "mailbox on the way back": lambda: carry_back(job, ledger, None),
        "filters": lambda: filters._one(filters.Job(nowhere, nowhere, ledger), "anna", dry_run=False),
        "calendars": lambda: sync_account(nowhere, ledger, "anna"),
    }


@pytest.mark.parametrize("way", ways_in(None))
def test_every_way_into_what_an_account_has_takes_the_lease_in_the_room_itself(ledger: Ledger, way: str) -> None:
    with (
        leases.lease(ledger, "anna", "transfer/day/mailbox.sync[3]", of=way.partition(" ")[0]),
        pytest.raises(leases.LeaseHeld, match="is being worked on by transfer/day/mailbox"),
    ):
        ways_in(ledger)[way]()


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

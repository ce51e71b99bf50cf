"""Everybody moves on his own, and only then comes the night: it takes the addresses with nothing left to copy.

It has a fresh site of its own: `make test-deep`, or `make end-to-end` with this file, runs it.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator

import pytest
from bascule import site
from bascule.checks.functional.run import functional_tests, run_functional_test
from bascule.hosts.access import opened
from bascule.ledger import Ledger, journal, mailboxes, moves, outage
from bascule.tasks import forecast

from lab.airflow.answering import Answerer, days_before, read_rules
from lab.airflow.following import PHASES, Teller
from lab.airflow.processes import Rest
from lab.corpus.people import people
from lab.demo import ANSWERS, run_day
from lab.hosts import driver
from lab.paths import Instance
from lab.shell import lab
from lab.testing import DAY_ACCOUNTS, SEED
from tests.end_to_end import moving
from tests.end_to_end.conftest import KEPT, MOVED, Day, end_of
from tests.end_to_end.outside import arrived, look, send
from tests.end_to_end.test_day import count
from tests.end_to_end.test_way_back import found_by_the_service

PEOPLE = people(DAY_ACCOUNTS, SEED)
MOVERS = sorted(person.account for person in PEOPLE if person.served_by == "old" and person.account != KEPT)
OLD_SIDE = {"old": ("dovecot.service", "postfix@-.service"), "web": ("radicale.service",)}
COMPARE_WITH_OLD = ("pop3-uidls", "webmail-in-a-browser")  # functional tests that ask old what should be there


@pytest.fixture(scope="module")
def night(rest: Rest) -> Day:
    """Prepare, everybody's problems decided, everybody moved, then the night."""
    instance = Instance(os.environ["BASCULE_LAB_INSTANCE"])
    made, tell, rules = Day(rest, Ledger.from_environment(), instance), Teller(), days_before(read_rules(ANSWERS))
    lab(instance, "inject", "start")
    try:
        for dag, asked in (("prepare", None), ("problems", None), ("move", {"accounts": "all"})):
            end_of(made, dag, dag, rest.trigger(dag, asked), tell, rules)
        made.notes["moved"] = moves.moved(made.ledger)
        run = run_day(instance, rest, tell, Answerer(rest, rules, instance))
    finally:
        lab(instance, "inject", "stop")
    for dag in ("migrate", *PHASES):
        made.look(dag, dag, run)
    return made


def test_everybody_moves_but_who_stays_on_old_by_decision_and_who_is_there(night: Day) -> None:
    assert night.seen["move"].state == "success"
    assert sorted(night.notes["moved"]) == MOVERS
    assert KEPT not in {task["rendered_map_index"] for task in night.seen["move"].named("account.move")}
    assert moving.held(night) == []


def test_the_night_has_no_mailbox_to_copy_of_who_had_moved(night: Day) -> None:
    looks = journal.entries(night.ledger, kind="look")
    (look,) = [entry.after or {} for entry in looks if entry.origin.phase == "transfer"]
    looked_at = {*look["unchanged"], *look["with a task"]}
    assert looked_at == {person.account for person in PEOPLE} - {*MOVERS}
    assert {task["rendered_map_index"] for task in night.seen["transfer"].named("mailbox.sync")} <= looked_at


@pytest.mark.parametrize("phase", ["migrate", *PHASES])
def test_the_night_is_green_and_asks_for_the_go_alone(night: Day, phase: str) -> None:
    run = night.seen[phase]
    assert run.state == "success"
    assert {task["state"] for task in run.tasks} <= {"success", "skipped"}
    assert phase == "cutover" or not run.asked


def test_the_numbers_say_that_all_have_moved_before(night: Day) -> None:
    told = night.log_of(night.seen["drain"], night.seen["drain"].task("final_report"))
    said = f"moved to new on their own, and left alone by the day: {len(MOVERS)} ("
    assert said in told
    states = mailboxes.mailbox_states(night.ledger)
    assert {states[account].state for account in MOVERS} == {"verified"}
    print(f"\noutage {outage.seconds(night.ledger):.0f} s", *forecast.lines(night.ledger), sep="\n")


def test_nothing_is_lost_and_every_numbered_message_is_in_one_place(night: Day) -> None:
    audit, report = count(night, "audit"), count(night, "inject", "report")
    assert audit["good"], str(audit)[:4000]
    assert report["injected"] > 0
    assert (report["lost"], report["duplicated"], report["misplaced"]) == ([], [], [])
    assert report["delivered_once"] == report["injected"]


def test_with_all_servers_of_the_old_side_switched_off_everybody_who_moved_works(night: Day) -> None:
    """As on the day on which somebody pulls the plug; it comes last in this file, since it takes old away."""
    assert MOVED in MOVERS
    with switched_off(night):
        received = send(MOVED, "sans le vieux serveur", "comptable@outside.test")
        assert len(arrived(night.instance, "new", MOVED, received)) == 1
        assert found_by_the_service(night, MOVED, received) == 1
        with opened(site.from_environment()) as access:
            assert access.site.functional_tests.account in MOVERS
            asked = [name for name in functional_tests(access.site) if name not in COMPARE_WITH_OLD]
            seen = {name: run_functional_test(access, name) for name in asked}
    assert {"imap-login", "pop3-login", "mail-arrives-once", "submission", "calendar-event"} <= seen.keys()
    assert {name: evidence.sentence for name, evidence in seen.items() if not evidence.ok} == {}
    assert list(look(night.instance, "old", MOVED, received)) == []


@contextlib.contextmanager
def switched_off(night: Day) -> Iterator[None]:
    """The old mail server and the old calendar server; what ran before runs again afterwards."""
    running = {
        host: [unit for unit in units if on_host(night, host, "systemctl", "is-active", unit) == "active"]
        for host, units in OLD_SIDE.items()
    }
    assert all(running.values()), f"something of the old side is there to be switched off: {running}"
    try:
        for host, units in running.items():
            on_host(night, host, "systemctl", "stop", *units)
            assert "active" not in {on_host(night, host, "systemctl", "is-active", unit) for unit in units}
        yield
    finally:
        for host, units in running.items():
            on_host(night, host, "systemctl", "start", *units)


def on_host(night: Day, host: str, *command: str) -> str:
    """What it says, as root there, whatever its status."""
    whole = driver.ssh_command(night.instance, host, [*command])
    return subprocess.run(whole, capture_output=True, text=True, check=False).stdout.strip()

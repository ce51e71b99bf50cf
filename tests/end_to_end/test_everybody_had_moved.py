"""Everybody moves on his own, and only then comes the night: it takes the addresses with nothing left to copy.

It has a fresh site of its own: `make test-deep`, or `make end-to-end` with this file, runs it.
"""

import os

import pytest
from bascule.ledger import Ledger, journal, mailboxes, moves
from bascule.tasks import forecast

from lab.airflow.answering import Answerer, days_before, read_rules
from lab.airflow.following import PHASES, Teller
from lab.airflow.processes import Rest
from lab.corpus.people import people
from lab.demo import ANSWERS, run_day
from lab.paths import Instance
from lab.shell import lab
from lab.testing import DAY_ACCOUNTS, SEED
from tests.end_to_end import moving
from tests.end_to_end.conftest import KEPT, Day, end_of
from tests.end_to_end.test_day import count

PEOPLE = people(DAY_ACCOUNTS, SEED)
MOVERS = sorted(person.account for person in PEOPLE if person.served_by == "old" and person.account != KEPT)


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
    print(f"\noutage {forecast.outage_seconds(night.ledger):.0f} s", *forecast.lines(night.ledger), sep="\n")


def test_nothing_is_lost_and_every_numbered_message_is_in_one_place(night: Day) -> None:
    audit, report = count(night, "audit"), count(night, "inject", "report")
    assert audit["good"], str(audit)[:4000]
    assert report["injected"] > 0
    assert (report["lost"], report["duplicated"], report["misplaced"]) == ([], [], [])
    assert report["delivered_once"] == report["injected"]

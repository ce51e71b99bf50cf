"""The day, phase by phase, as Airflow ran it."""

import json
import subprocess
import sys
import time
from itertools import groupby, pairwise
from typing import Any

import pytest
from bascule.ledger import journal, mailboxes
from bascule.problems import store

from lab.airflow.processes import Home
from lab.paths import CHECKOUT
from tests.end_to_end import fifty, moving
from tests.end_to_end.conftest import BY_BROWSER, KEPT, MOVED, USED_ON_BOTH, WRITTEN_TO, Day
from tests.end_to_end.outside import WITHIN
from tests.end_to_end.test_problem_mailboxes import DECIDED

FREEZE_IN_ORDER = [  # those of one line run beside each other
    {"begin"},
    {"stop_imap_on_new", "stop_mail_reception_on_new"},
    {"change_mail_destination_in_directory"},
    {"create_aliases_on_mx"},
    {"reroute_mail_queued_at_mx"},
    {"stop_imap_proxy_virtual_machine"},
    {"stop_imap_on_old"},
    {"stop_mailbox_backup_on_old", "isolate_imap_on_old"},
    {"restart_imap_on_old"},
    {"verify_imap_on_old_is_isolated", "deliver_mail_queued_on_old"},
    {"finish"},
]
BESIDE_IT = {"forecast", "isolate_imap_on_new", "start_imap_on_new_for_the_copy"}


def count(day: Day, *words: str) -> dict[str, Any]:
    """A counting command of the lab, which knows nothing of Bascule."""
    command = [sys.executable, "-m", "lab", "--instance", day.instance.name, *words, "--json"]
    done = subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.PIPE, check=True, text=True)
    return dict(json.loads(done.stdout))


def test_a_phase_out_of_order_refuses_with_a_sentence(day: Day) -> None:
    run = day.seen["transfer before freeze"]
    assert run.state == "failed"
    log = day.log_of(run, run.task("begin"))
    assert "`transfer` can't run yet: `freeze` has not finished" in log
    assert run.task("list_accounts")["state"] == "upstream_failed"


def test_prepare_asks_nobody_and_succeeds_with_its_problems_written_down(day: Day) -> None:
    run = day.seen["prepare"]
    assert run.state == "success"
    assert all(task["state"] == "success" for task in run.named("mailbox.sync"))
    # `folder-both-changed` by the second night: people had worked on between the two.
    of_mailboxes = {kind for kind in DECIDED if kind.startswith(("mailbox/", "account/"))}
    assert of_mailboxes <= day.notes["found by prepare"], "those that are decided on the day were found days before"


def test_dry_run_changes_nothing_and_says_what_would_change(day: Day) -> None:
    run = day.seen["freeze, dry"]
    assert run.state == "success"
    assert day.notes["journal rows before dry run"] == day.notes["journal rows after dry run"]
    assert "this would change" in day.log_of(run, run.task("stop_imap_on_old"))


def test_a_rollback_puts_everything_back_as_it_was_before_the_freeze(day: Day) -> None:
    assert day.seen["freeze, rolled back"].state == "success"
    assert day.seen["rollback"].state == "success"
    assert len(day.notes["before the freeze"]) >= 8
    assert day.notes["after the rollback"] == day.notes["before the freeze"]
    assert day.notes["in force after the rollback"] == []


@pytest.mark.parametrize("account", [WRITTEN_TO, MOVED])
def test_mail_that_came_during_a_freeze_that_was_taken_back_is_where_its_owner_is_alone(day: Day, account: str) -> None:
    """On old; of who had moved before, on new."""
    places = day.notes["mail of the freeze"][account]
    assert len(places["there"]) == 1
    assert places["on the other"] == []


def test_freeze_does_every_line_of_the_table_in_order(day: Day) -> None:
    run = day.seen["freeze"]
    assert run.state == "success"
    tasks = {task["task_id"]: task for task in run.tasks}
    assert set(tasks) == set().union(BESIDE_IT, *FREEZE_IN_ORDER)
    beside = {"stop_mailbox_backup_on_old"}  # nothing of the copy waits for it
    for earlier, later in pairwise(FREEZE_IN_ORDER):
        ended = max(tasks[name]["end_date"] for name in earlier - beside)
        assert all(tasks[name]["start_date"] >= ended for name in later), (earlier, later)


def test_only_mailboxes_with_problems_ask_a_person(day: Day) -> None:
    run = day.seen["transfer"]
    decided = {
        entry.subject for entry in journal.entries(day.ledger, event="decision") if entry.origin.phase == "transfer"
    }
    assert run.asked == decided
    assert 0 < len(decided) < len(run.named("mailbox.sync"))


@pytest.mark.parametrize("phase", ["prepare", "problems", "freeze", "transfer", "cutover", "drain", "migrate"])
def test_a_day_in_which_everything_was_settled_is_green(day: Day, phase: str) -> None:
    run = day.seen[phase]
    assert run.state == "success"
    # Skipped are mapped tasks for nobody: no filter, or no calendar, needs a person.
    assert {task["state"] for task in run.tasks} <= {"success", "skipped"}
    assert {task["state"] for task in run.named("mailbox.sync")} <= {"success"}


def has_a_stack_trace_of_bascule(log: str) -> bool:
    """Whether a try ended by an exception that came out of Bascule, not out of Airflow alone (its API too slow)."""
    return "Task failed with exception" in log and "bascule/operators/" in log


def test_no_log_has_a_stack_trace_for_what_was_expected(day: Day) -> None:
    synced = [task["rendered_map_index"] for task in day.seen["transfer"].named("mailbox.sync")]
    expected = [
        ("transfer before freeze", "begin", None),
        ("cutover after no go", "go_no_go", None),
        ("migrate after no go", "cutover", None),
        *(("transfer", "mailbox.sync", account) for account in synced),
        *(("problems", "mailbox.review", account) for account in fifty.TYPED_AGAIN),
    ]
    for name, task_id, account in expected:
        run = day.seen[name]
        task = run.task(task_id, account)
        for attempt in range(1, task["try_number"] + 1):
            assert not has_a_stack_trace_of_bascule(day.log_of(run, task, attempt)), (name, task_id, account, attempt)


def test_a_mailbox_costs_one_task_and_one_process_unless_it_asks(day: Day) -> None:
    run = day.seen["transfer"]
    of_mailboxes = [task for task in run.tasks if task["task_id"].startswith("mailbox.")]
    assert {task["task_id"] for task in of_mailboxes} == {"mailbox.sync"}
    assert len(of_mailboxes) == len({task["rendered_map_index"] for task in of_mailboxes})
    # Airflow may lose a task on a busy machine, and try it again; Bascule itself ends each in its first try.
    lost = [(task, attempt) for task in of_mailboxes for attempt in range(1, task["try_number"])]
    assert not [task for task, attempt in lost if has_a_stack_trace_of_bascule(day.log_of(run, task, attempt))]


def test_tasks_were_forked_from_processes_that_had_asked_the_ledger_from_the_first_start_on(day: Day) -> None:
    """Otherwise each of them turns into SQL again all that it asks, for half as much CPU more."""
    said = Home(day.instance).log.read_text(encoding="utf-8", errors="replace")
    assert "before the fork" not in said


def test_every_other_mailbox_has_a_look_for_its_evidence(day: Day) -> None:
    run = day.seen["transfer"]
    looks = journal.entries(day.ledger, kind="look")
    (found,) = [each.after or {} for each in looks if (each.origin.phase, each.origin.run) == ("transfer", run.id)]
    synced = sorted(run.named("mailbox.sync"), key=lambda task: task["map_index"])
    assert [task["rendered_map_index"] for task in synced] == found["with a task"]
    everybody = {task["rendered_map_index"] for task in day.seen["prepare"].named("mailbox.sync")}
    assert {*found["unchanged"], *found["with a task"]} == everybody - {*moving.movers(day.instance)}
    assert found["unchanged"] and not {*found["unchanged"]} & {*found["with a task"]}
    states = mailboxes.mailbox_states(day.ledger)
    report = day.log_of(day.seen["drain"], day.seen["drain"].task("final_report"))
    for account in found["unchanged"]:
        assert states[account].is_unchanged and account in report


def test_clearing_the_look_of_named_accounts_looks_at_them_again_and_runs_nothing_else(day: Day) -> None:
    before, after = day.seen["prepare, the next night"], day.seen["prepare, looked again"]
    assert (before.id, after.state) == (after.id, "success")
    ran = {(task["task_id"], task["map_index"]): task["start_date"] for task in before.tasks}
    again = {
        task["task_id"] for task in after.tasks if ran.get((task["task_id"], task["map_index"])) != task["start_date"]
    }
    assert again == {"look_at_mailboxes"}
    looks = journal.entries(day.ledger, kind="look", run=after.id)
    assert len(looks) == 2 and looks[0].at and looks[1].at and looks[0].at < looks[1].at
    for each in (entry.after or {} for entry in looks):
        assert {*each["unchanged"], *each["need a pass"]} == {USED_ON_BOTH}


def test_clearing_one_mailbox_runs_it_again_touches_no_sibling_and_asks_nobody_again(day: Day) -> None:
    before, after = day.seen["transfer"], day.seen["transfer after clear"]
    assert after.state == "success"
    for was in before.named("mailbox.sync"):
        now = next(task for task in after.named("mailbox.sync") if task["map_index"] == was["map_index"])
        again = was["rendered_map_index"] == BY_BROWSER
        assert (now["try_number"] > was["try_number"]) == again
        assert (now["start_date"] != was["start_date"]) == again
    cleared = after.task("mailbox.sync", BY_BROWSER)  # Airflow goes on showing the page of its first try
    asked = ["a person is asked" in day.log_of(after, cleared, attempt) for attempt in (1, cleared["try_number"])]
    assert asked == [True, False]


def test_a_no_go_stops_the_day_with_nothing_taken_over(day: Day) -> None:
    run = day.seen["cutover after no go"]
    assert run.state == "failed"
    assert run.task("go_no_go")["state"] == "failed"
    assert run.task("take_imap_address")["state"] == "upstream_failed"
    assert day.seen["migrate after no go"].task("cutover")["state"] == "failed"


def test_cleared_the_day_goes_on_with_the_same_run(day: Day) -> None:
    run = day.seen["migrate"]
    assert run.state == "success"
    assert day.seen["cutover"].state == "success"
    assert day.seen["cutover"].id == run.id
    runs = day.rest.call("GET", "dags/cutover/dagRuns")["dag_runs"]
    assert [item["dag_run_id"] for item in runs] == [run.id]


def test_both_answers_of_the_gate_stand_in_the_journal_with_their_author(day: Day) -> None:
    given = [entry.after or {} for entry in journal.entries(day.ledger, kind="gate", event="decision")]
    # A busy scheduler can lose the task of an answer that came early: Airflow then asks, and is answered, once more.
    assert [option for option, _ in groupby(answer["option"] for answer in given)] == [
        "No go",
        "Go: take the addresses",
    ]
    assert {answer["decided_by"] for answer in given} == {"postmaster"}


def test_every_functional_test_passed_under_its_own_name(day: Day) -> None:
    tests = day.seen["cutover"].named("functional_test")
    assert len(tests) >= 5
    assert all(task["state"] == "success" and task["rendered_map_index"] for task in tests)


def test_no_problem_is_left_open_and_every_mailbox_is_verified(day: Day) -> None:
    assert store.problems(day.ledger) == []
    states = {name: state.state for name, state in mailboxes.mailbox_states(day.ledger).items()}
    assert states.pop(KEPT) == "kept on old"
    assert set(states.values()) == {"verified"}, states


def test_the_journal_is_whole_and_has_an_outcome_for_every_intent(day: Day) -> None:
    assert journal.broken_link(day.ledger) is None
    entries = journal.entries(day.ledger)
    for intent in (entry for entry in entries if entry.event == "intent"):
        later = [entry.event for entry in entries if entry.number > intent.number and entry.subject == intent.subject]
        assert {"done", "failed"} & set(later), f"no outcome of {intent.kind} {intent.subject}"


def test_every_numbered_message_is_in_exactly_one_place(day: Day) -> None:
    report, deadline = count(day, "inject", "report"), time.monotonic() + WITHIN
    while report["waiting"] and time.monotonic() < deadline:  # on its way through the last server's queue
        report = count(day, "inject", "report")
    assert report["injected"] > 0
    assert (report["lost"], report["duplicated"]) == ([], [])
    assert report["delivered_once"] == report["injected"]


def test_every_message_of_the_old_server_is_on_the_new_one_as_it_was(day: Day) -> None:
    audit = count(day, "audit")
    assert audit["good"], json.dumps(audit)[:4000]

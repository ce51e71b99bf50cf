"""The DAG files: every phase is there, says what it is, has the two parameters, parses fast, and holds no logic."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.sdk.definitions.retry_policy import RetryAction
from bascule import changes
from bascule.changes.base import Effect
from bascule.ledger.phases import FOR_EVERYBODY
from bascule.operators.base import LOST, Tries, TryEnds
from bascule.operators.holds import OverdueHolds
from bascule.operators.params import ROUNDS
from bascule.operators.waiting import RunPhase

from tests.unit.changes.fakes import FakeAccess

DAGS = Path(__file__).parents[2] / "dags"
PHASES = ("prepare", "problems", "freeze", "transfer", "cutover", "drain", "rollback", "migrate")
PARSE_SECONDS = 0.3
# As Airflow's DAG processor does: all that it needs is imported, then it forks for each file.
MEASURE = """
import os, sys, time, airflow.sdk, airflow.models, airflow.dag_processing.processor, importlib.util
for file in sys.argv[1:] * 3:
    if not os.fork():
        began = time.process_time()
        spec = importlib.util.spec_from_file_location("parsed", file)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        print("seconds", file, time.process_time() - began, flush=True)
        os._exit(0)
    os.wait()
"""


@cache
def dag_of(phase: str) -> DAG:
    """The phase's DAG, parsed as Airflow parses it."""
    bag = DagBag(str(DAGS / f"{phase}.py"))
    assert bag.import_errors == {}
    return bag.dags[phase]


@pytest.mark.parametrize("phase", PHASES)
def test_each_phase_explains_itself_and_its_parameters(phase: str) -> None:
    dag = dag_of(phase)
    assert dag.doc_md
    # What stops services and moves addresses is for everybody: others would lose sight of their mail.
    assert set(dag.params) == ({"dry_run"} if phase in FOR_EVERYBODY else {"dry_run", "accounts"})
    for name in dag.params:
        param = dag.params.get_param(name)
        assert param.description and param.schema["type"] in ("boolean", "string")


@pytest.mark.parametrize("phase", [*PHASES, "move"])
def test_each_phase_begins_by_asking_the_journal_and_ends_by_telling_it(phase: str) -> None:
    dag = dag_of(phase)
    assert [task.task_id for task in dag.roots] == ["begin"]
    assert [task.task_id for task in dag.leaves] == ["finish"]


@pytest.mark.parametrize("phase", [*PHASES, "move", "holds", "ask_again"])
def test_a_dag_file_holds_no_logic(phase: str) -> None:
    tree = ast.parse((DAGS / f"{phase}.py").read_text(encoding="utf-8"))
    logic = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.Lambda, ast.ListComp, ast.DictComp)
    assert [type(node).__name__ for node in ast.walk(tree) if isinstance(node, logic)] == []


def test_the_dag_files_parse_quickly() -> None:
    files = [str(DAGS / f"{name}.py") for name in (*PHASES, "move", "holds", "ask_again")]
    done = subprocess.run([sys.executable, "-c", MEASURE, *files], capture_output=True, text=True, check=True)
    least: dict[str, float] = {}  # of three times each: on a busy machine the same work takes more of the processor
    for line in done.stdout.splitlines():
        if line.startswith("seconds "):
            _, file, took = line.split()
            least[file] = min(float(took), least.get(file, PARSE_SECONDS))
    assert list(least) == files
    assert {file: took for file, took in least.items() if took >= PARSE_SECONDS} == {}


GROUPS = {
    "prepare": {"mailbox.sync"},
    "problems": {"mailbox.review"},
    "transfer": {"mailbox.sync", "repair_filters.review", "repair_calendars.review"},
    "rollback": {"mailbox.carry_back"},
    "move": {"account.move"},
}


@pytest.mark.parametrize("phase", [*PHASES, "move"])
def test_a_mapped_group_has_one_task_for_each_account_named_by_it(phase: str) -> None:
    """Airflow's scheduler works in the square of the instances where a mapped task has followers in its group."""
    mapped = {task.task_id: task for task in dag_of(phase).tasks if "." in task.task_id}
    assert set(mapped) == GROUPS.get(phase, set())
    for task in mapped.values():
        assert task.map_index_template == "{{ task.account }}"
        assert not task.downstream_task_ids & mapped.keys()


def test_a_question_that_is_asked_again_is_a_task_of_its_own_named_by_the_account() -> None:
    dag = dag_of("ask_again")
    (task,) = dag.tasks
    assert task.map_index_template == "{{ task.account }}"
    assert dag.max_active_runs > 500, "all that wait at the same time"
    made = task.unmap({"account": "anna"})
    assert (made.account, made.retries) == ("anna", ROUNDS)


@pytest.mark.parametrize("phase", [*PHASES, "move", "holds", "ask_again"])
def test_every_task_is_tried_as_often_as_bascule_says(phase: str) -> None:
    assert {type(task.retry_policy) for task in dag_of(phase).tasks} == {Tries}


def test_a_lost_worker_costs_the_day_no_phase() -> None:
    """Tried again, it waits for the phase's run, which goes on; a phase that has failed is a person's."""
    phases = [task for task in dag_of("migrate").tasks if isinstance(task, RunPhase)]
    assert [(task.task_id, task.retries) for task in phases] == [
        (phase, LOST) for phase in ("freeze", "transfer", "cutover", "drain")
    ]
    event = ("trigger", {"run_ids": ["today"], "today": "failed", "dag_id": "freeze"})
    with pytest.raises(TryEnds) as ended:
        phases[0].execute_complete({}, event)
    assert phases[0].retry_policy.evaluate(ended.value, 1, LOST).action is RetryAction.FAIL


def test_filters_and_calendars_run_beside_the_mailboxes() -> None:
    """Filters behind the look: a script that is put raises the MODSEQ of INBOX, so that it looks changed."""
    dag = dag_of("transfer")
    assert "mailbox.sync" not in dag.get_task("convert_filters").upstream_task_ids
    assert dag.get_task("convert_filters").upstream_task_ids == {"list_accounts", "look_at_mailboxes"}
    for task in ("look_at_mailboxes", "migrate_calendars"):
        assert dag.get_task(task).upstream_task_ids == {"list_accounts"}


@pytest.mark.parametrize("phase", ["prepare", "transfer"])
def test_only_mailboxes_that_need_a_pass_get_a_task(phase: str) -> None:
    dag = dag_of(phase)
    assert dag.get_task("mailbox.sync").upstream_task_ids == {"look_at_mailboxes"}
    assert dag.get_task("look_at_mailboxes").pool == "mailboxes"
    # Airflow skips a mapped task for nobody, and with it what would only run after a success.
    for follower in dag.get_task("mailbox.sync").downstream_task_ids:
        assert dag.get_task(follower).trigger_rule == "none_failed"


def test_what_needs_no_cut_is_done_before_the_cut_or_beside_it() -> None:
    dag = dag_of("freeze")
    cut = dag.get_task("stop_imap_proxy_virtual_machine")
    before = {
        "begin",
        "forecast",
        "stop_imap_on_new",
        "stop_mail_reception_on_new",
        "change_mail_destination_in_directory",
    }
    assert cut.get_flat_relative_ids(upstream=True) == before | {"create_aliases_on_mx", "reroute_mail_queued_at_mx"}
    beside = {"isolate_imap_on_new", "start_imap_on_new_for_the_copy"}
    assert not cut.get_flat_relative_ids(upstream=False) & beside
    assert beside | {"verify_imap_on_old_is_isolated"} <= dag.get_task("finish").get_flat_relative_ids(upstream=True)
    # Old delivers nothing while its IMAP, of which its delivery is a part, is stopped.
    assert "restart_imap_on_old" in dag.get_task("deliver_mail_queued_on_old").upstream_task_ids


def test_nothing_is_taken_over_before_the_gate() -> None:
    dag = dag_of("cutover")
    before = dag.get_task("go_no_go").get_flat_relative_ids(upstream=True)
    assert before == {"begin", "wait_until_no_problem_is_open"}


def test_failed_functional_tests_go_to_a_person_when_all_have_ended() -> None:
    dag = dag_of("cutover")
    gate = dag.get_task("go_on_despite_failed_tests")
    assert gate.trigger_rule == "all_done"
    assert gate.upstream_task_ids == {"functional_test"}
    assert dag.get_task("declare_in_production").upstream_task_ids == {"go_on_despite_failed_tests"}


def test_a_rollback_carries_mail_back_when_new_is_closed_and_old_is_not_open_yet() -> None:
    dag = dag_of("rollback")
    assert dag.get_task("list_accounts_to_carry_back").upstream_task_ids == {"undo_cutover"}
    undo_changes = dag.get_task("undo_changes")
    assert undo_changes.upstream_task_ids == {"mailbox.carry_back"}
    assert undo_changes.trigger_rule == "none_failed"  # without a go there is no mailbox to carry back


@pytest.mark.parametrize(
    ("phase", "effect"), [("freeze", Effect.NEW_TAKES_NO_MAIL), ("cutover", Effect.NEW_TAKES_MAIL)]
)
def test_one_change_of_the_day_stops_mail_for_new_and_one_lets_it_in(phase: str, effect: Effect) -> None:
    tasks = [task for task in dag_of(phase).tasks if getattr(task, "change", None) == "service"]
    effects = [changes.kind(task.change)(FakeAccess(), **task.parameters).effects for task in tasks]
    assert [found for each in effects for found in each] == [effect]


def test_accounts_that_move_are_named_and_go_to_new_or_back() -> None:
    params = dag_of("move").params
    assert set(params) == {"accounts", "to", "at_once", "dry_run"}
    assert "default" not in params.get_param("accounts").schema
    assert params.get_param("to").schema["enum"] == ["new", "old"]


def test_nobody_stays_held_whatever_becomes_of_the_moves() -> None:
    dag = dag_of("move")
    last = dag.get_task("leave_nobody_held")
    assert last.upstream_task_ids == {"account.move"}
    assert last.trigger_rule == "all_done"
    # Else the run would be a success though moves have failed.
    before = {"account.move", "watch_holds", "leave_nobody_held", "tell_owners"}
    assert dag.get_task("finish").upstream_task_ids == before


def test_a_hold_that_can_not_be_undone_keeps_nobody_else_from_moving_and_fails_the_run_at_its_end() -> None:
    dag = dag_of("move")
    assert dag.get_task("undo_overdue_holds").others_move
    last = dag.get_task("leave_nobody_held")
    assert not (last.others_move or last.overdue_only) and "finish" in last.downstream_task_ids | {
        name for task in last.downstream_list for name in task.downstream_task_ids
    }
    (alone,) = dag_of("holds").tasks
    assert not alone.others_move, "it has no task behind it that would tell"


def test_holds_are_watched_from_the_first_move_on_and_when_no_run_is_under_way() -> None:
    move = dag_of("move")
    watch = move.get_task("watch_holds")
    assert watch.upstream_task_ids == {"list_accounts_to_move"}
    assert watch.moving in move.task_ids
    (asset,) = dag_of("holds").timetable.asset_condition.objects
    assert [type(watcher.trigger) for watcher in asset.watchers] == [OverdueHolds]
    (task,) = dag_of("holds").tasks
    assert task.overdue_only, "what another run works on is left to it"


def test_a_wrong_site_file_is_an_import_error_without_a_stack_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "site.yaml"
    wrong.write_text("name: observatoire\ndomain: obs.test\n")
    monkeypatch.setenv("BASCULE_SITE", str(wrong))
    monkeypatch.setenv("AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACKS", "False")
    bag = DagBag(str(DAGS / "site_file.py"))
    (text,) = bag.import_errors.values()
    assert text.startswith(f"{wrong} has ")
    assert "timezone: this key is missing" in text
    assert "Traceback" not in text

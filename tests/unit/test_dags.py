"""The DAG files: every phase is there, says what it is, has the two parameters, parses fast, and holds no logic."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

DAGS = Path(__file__).parents[2] / "dags"
PHASES = ("prepare", "problems", "freeze", "transfer", "cutover", "drain", "rollback", "migrate")
PARSE_SECONDS = 0.3
# What Airflow's DAG processor has imported before it parses a file.
MEASURE = """
import sys, time, airflow.sdk, airflow.models, airflow.dag_processing.processor, importlib.util
began = time.process_time()
spec = importlib.util.spec_from_file_location("parsed", sys.argv[1])
spec.loader.exec_module(importlib.util.module_from_spec(spec))
print(time.process_time() - began)
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
    # A way back for some accounts alone would leave their mail on new, or everybody's addresses there.
    assert set(dag.params) == ({"dry_run"} if phase == "rollback" else {"dry_run", "accounts"})
    for name in dag.params:
        param = dag.params.get_param(name)
        assert param.description and param.schema["type"] in ("boolean", "string")


@pytest.mark.parametrize("phase", PHASES)
def test_each_phase_begins_by_asking_the_journal_and_ends_by_telling_it(phase: str) -> None:
    dag = dag_of(phase)
    assert [task.task_id for task in dag.roots] == ["begin"]
    assert [task.task_id for task in dag.leaves] == ["finish"]


@pytest.mark.parametrize("phase", PHASES)
def test_a_dag_file_holds_no_logic(phase: str) -> None:
    tree = ast.parse((DAGS / f"{phase}.py").read_text(encoding="utf-8"))
    logic = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.Lambda, ast.ListComp, ast.DictComp)
    assert [type(node).__name__ for node in ast.walk(tree) if isinstance(node, logic)] == []


@pytest.mark.parametrize("phase", PHASES)
def test_a_dag_file_parses_quickly(phase: str) -> None:
    command = [sys.executable, "-c", MEASURE, str(DAGS / f"{phase}.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout.splitlines()[-1]) < PARSE_SECONDS


def test_a_review_waits_only_for_a_failed_sync() -> None:
    dag = dag_of("transfer")
    review = dag.get_task("mailbox.review")
    assert review.trigger_rule == "one_failed"
    # The list that maps the group is upstream of each of its tasks too.
    assert review.upstream_task_ids == {"mailbox.sync", "list_accounts"}
    assert dag.get_task("mailbox.settle").upstream_task_ids == {"mailbox.review", "list_accounts"}


def test_filters_and_calendars_run_beside_the_mailboxes() -> None:
    dag = dag_of("transfer")
    for task in ("mailbox.sync", "convert_filters", "migrate_calendars"):
        assert dag.get_task(task).upstream_task_ids == {"list_accounts"}


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

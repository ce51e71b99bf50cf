"""Operators are declarations: nothing is imported late but by the face of `tasks`; foreseen ends are quiet."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from bascule import site
from bascule.changes.base import ChangeFailed
from bascule.hosts.connections import AccessError
from bascule.ledger import LedgerAway, LedgerError
from bascule.ledger.leases import LeaseHeld
from bascule.operators import base, hitl
from bascule.operators.base import TryEnds, task_run
from bascule.site import SiteError
from bascule.tasks import failed_tests, gate
from structlog.testing import capture_logs

from tests.unit.problems.asking import Store

PACKAGE = Path(site.__file__).parents[1]
OPERATORS, TASKS = PACKAGE / "operators", PACKAGE / "tasks"


def test_the_gates_offer_what_their_tasks_understand() -> None:
    assert hitl.GoNoGo(task_id="gate").options == [gate.GO, gate.NO_GO]
    assert hitl.GoOnDespiteFailedTests(task_id="gate").options == [failed_tests.GO_ON, failed_tests.STOP]


def late_imports(file: Path) -> list[str]:
    """`line: module` of what is imported inside functions."""
    functions = [n for n in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(n, ast.FunctionDef)]
    imports = {n for each in functions for n in ast.walk(each) if isinstance(n, ast.Import | ast.ImportFrom)}
    return [f"{file.name}:{each.lineno}" for each in imports]


@pytest.mark.parametrize("file", [*OPERATORS.glob("*.py"), *TASKS.glob("*.py")], ids=lambda file: file.stem)
def test_imports_stand_at_the_top(file: Path) -> None:
    assert late_imports(file) == []


def loaded_by(module: str) -> set[str]:
    shown = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print('\\n'.join(sys.modules))"],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(shown.stdout.split())


def test_what_a_task_does_knows_nothing_of_airflow() -> None:
    everything = ", ".join(f"bascule.tasks.{file.stem}" for file in TASKS.glob("*.py"))
    assert "airflow" not in loaded_by(everything)


def test_a_pass_over_a_mailbox_pays_for_neither_directory_nor_ssh() -> None:
    assert {"ldap3", "paramiko", "httpx", "caldav", "airflow"}.isdisjoint(loaded_by("bascule.tasks.mailbox"))


@pytest.fixture
def context() -> Any:
    """Of a first try."""
    ti = SimpleNamespace(dag_id="freeze", run_id="run", task_id="t", map_index=-1, try_number=1, max_tries=10)
    return {
        "ti": ti, "dag_run": SimpleNamespace(run_type="manual"), "params": {}, "task": SimpleNamespace(retries=10),
        "task_state_store": Store(),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (SiteError("mend the site file"), RetryAction.FAIL),
        (ChangeFailed("it does not stop"), RetryAction.FAIL),
        (AccessError("mx can't be reached"), RetryAction.DEFAULT),
        (LeaseHeld("held by another task"), RetryAction.DEFAULT),
        (LedgerAway("the ledger can't be written: its database starts"), RetryAction.DEFAULT),
        (LedgerError("the ledger is a newer Bascule's"), RetryAction.FAIL),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_foreseen_ends_in_one_sentence_and_without_a_stack_trace(
    context: Any, error: Exception, action: RetryAction, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr("bascule.tasks.run.opened", opened)
    with capture_logs() as lines, pytest.raises(TryEnds) as ended, task_run(context):
        pass
    assert [(line["event"], line["log_level"]) for line in lines] == [(str(error), "error")]
    # Of a SystemExit, and of nothing else, Airflow's task runner writes no stack trace.
    assert isinstance(ended.value, SystemExit)
    assert (str(ended.value), ended.value.code) == (str(error), 1)
    assert base.Tries().evaluate(ended.value, 1, 10, context).action is action


def test_what_may_pass_by_itself_is_tried_twice_more(context: Any) -> None:
    assert actions(context, [AccessError("mx can't be reached")] * 3) == [RetryAction.DEFAULT] * 2 + [RetryAction.FAIL]


def test_a_process_that_was_ended_from_outside_costs_no_try(context: Any) -> None:
    """A killed worker, Airflow's API away for so long that the scheduler has given its tasks up."""
    away = [AccessError("mx can't be reached"), None, None, None, AccessError("mx can't be reached")]
    assert set(actions(context, away)) == {RetryAction.DEFAULT}
    assert base.is_last_try(context)


def test_an_api_server_that_is_away_costs_no_try(context: Any) -> None:
    away = AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))
    assert set(actions(context, [away] * 5)) == {RetryAction.DEFAULT}
    assert not base.is_last_try(context)


def test_a_task_whose_process_is_ended_again_and_again_is_a_persons(context: Any) -> None:
    assert actions(context, [None] * base.LOST) == []
    with pytest.raises(TryEnds, match="ended from outside 10 times: see why") as ended, task_run(context):
        pass
    assert base.Tries().evaluate(ended.value, 11, 10, context).action is RetryAction.FAIL


def actions(context: Any, errors: list[Exception | None]) -> list[RetryAction]:
    """What becomes of try after try that ends so; a process that was ended from outside (None) decides nothing."""
    found = []
    for error in errors:
        if error is not None:
            found.append(base.Tries().evaluate(error, context["ti"].try_number, 10, context).action)
        context["ti"].try_number += 1
    return found

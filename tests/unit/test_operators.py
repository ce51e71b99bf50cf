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
    """Of a first try; there may be two more."""
    ti = SimpleNamespace(dag_id="freeze", run_id="run", task_id="t", map_index=-1, try_number=1, max_tries=2)
    return {
        "ti": ti, "dag_run": SimpleNamespace(run_type="manual"), "params": {}, "task": SimpleNamespace(retries=2),
        "task_state_store": {},
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
    assert base.Tries().evaluate(ended.value, 1, 2, context).action is action
    context["ti"].try_number = 3
    assert base.Tries().evaluate(ended.value, 3, 2, context).action is RetryAction.FAIL

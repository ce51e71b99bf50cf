"""A task that asks about anna, run as Airflow runs it (tries, parking, pages, runs of other DAGs), without Airflow."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import DagRunTriggerException, TaskAwaitingInput, TaskDeferred
from bascule.hosts.access import Access
from bascule.hosts.connections import EnvironmentConnections
from bascule.ledger import Ledger
from bascule.operators.hitl import AskAgain, SettleMailbox
from bascule.operators.params import PHASE_DEFAULTS
from bascule.site import Site
from bascule.tasks import mailbox
from bascule.tasks import run as runs
from bascule.tasks.run import Run

from tests.unit.problems.conftest import ORIGIN


class Store(dict[str, Any]):
    """Airflow's store of a task's state."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


class Task:
    """One task instance. Airflow keeps its first page through all its tries, however often it is cleared."""

    def __init__(self, operator: type, dag: str, run: str, params: dict[str, Any]) -> None:
        self.operator, self.dag, self.run, self.params = operator, dag, run, params
        self.try_number, self.cleared_at, self.store = 0, 0, Store()
        self.page: dict[str, Any] | None = None
        self.shown: list[int] = []
        self.assigned_users: list[Any] = []


class Asking:
    """`outcome` is the state in which Airflow leaves the task: success, awaiting_input, deferred, up_for_retry, failed.

    `work` is what the pass over the mailbox does; it is given whether this is the last try.
    """

    def __init__(
        self, ledger: Ledger, site: Site, monkeypatch: pytest.MonkeyPatch, operator: type = SettleMailbox
    ) -> None:
        self.work: Callable[[bool], None] = lambda last_try: None
        self.passes = 0
        self.task = Task(operator, "problems", "day", {})
        self.again: dict[str, Task] = {}  # the runs of `ask_again`, by their names
        self.waiting_for = ""
        self.phases: list[str] = []

        @contextlib.contextmanager
        def opened(_: Any, __: Any, origin: Any, **___: Any) -> Iterator[Run]:
            self.phases.append(origin.phase)
            yield Run(site, Access(site, EnvironmentConnections({})), ledger, ORIGIN)

        def sync(run: Run, account: str, *, last_try: bool) -> dict[str, int]:
            self.passes += 1
            self.work(last_try)
            return {"problems": 0}

        monkeypatch.setattr(runs, "opened", opened)
        monkeypatch.setattr(mailbox, "sync", sync)
        monkeypatch.setattr(hitl, "upsert_hitl_detail", self._show)

    @property
    def asked(self) -> Task:
        """The task whose page waits for an answer."""
        return self.again[self.waiting_for] if self.waiting_for else self.task

    @property
    def page(self) -> dict[str, Any]:
        assert self.asked.page is not None
        return self.asked.page

    def start(self) -> str:
        """The next try, in a new process."""
        self.waiting_for = ""
        return self._start(self.task)

    def answer(self, option: str | None, **edits: str) -> str:
        """A person answers the page that waits; the task goes on in the same try, in a new process."""
        if not self.waiting_for:
            return self._run(self.task, "execute_complete", event=self._event(option, edits), shown=self.task.shown)
        name, again = self.waiting_for, self.asked
        outcome = self._run(again, "execute_complete", event=self._event(option, edits), shown=again.shown)
        assert outcome == "success"
        again.page, self.waiting_for = None, ""
        told = {"dag_id": "ask_again", "run_ids": [name], name: "success"}
        return self._run(self.task, "execute_complete", event=["DagStateTrigger", told])

    def answer_old_page(self, option: str) -> str:
        """Somebody answers the task's own page while it waits for a run of `ask_again`."""
        self.waiting_for = ""
        return self._run(self.task, "execute_complete", event=self._event(option, {}))

    def clear(self) -> None:
        """As a person does in the UI."""
        self.task.cleared_at = self.task.try_number

    def _event(self, option: str | None, edits: dict[str, str]) -> dict[str, Any]:
        values = {key: field["value"] for key, field in self.page["params"].items()}
        return {
            "chosen_options": [option] if option else [],
            "params_input": values | {key.replace("_", "."): value for key, value in edits.items()},
            "responded_at": datetime.now(UTC),
            "responded_by_user": {"id": "7", "name": "postmaster"},
        }

    def _show(self, ti_id: Any, **page: Any) -> None:
        ti_id.page = ti_id.page or page
        ti_id.assigned_users = page["assigned_users"]

    def _start(self, task: Task) -> str:
        task.try_number += 1
        return self._run(task, "execute")

    def _run(self, task: Task, method: str, **kwargs: Any) -> str:
        operator = task.operator(task_id="review", account="anna", retry_policy=PHASE_DEFAULTS["retry_policy"])
        ti = SimpleNamespace(
            id=task, dag_id=task.dag, run_id=task.run, task_id="review", map_index=0, try_number=task.try_number,
            max_tries=task.cleared_at + operator.retries, get_dr_count=self._count,
        )  # fmt: skip
        context: Any = {
            "ti": ti, "task_instance": ti, "dag_run": SimpleNamespace(run_type="manual"), "params": task.params,
            "task": operator, "task_state_store": task.store,
        }  # fmt: skip
        try:
            getattr(operator, method)(context, **kwargs)
        except TaskAwaitingInput as waiting:
            task.shown = (waiting.kwargs or {})["shown"]
            return "awaiting_input"
        except DagRunTriggerException as triggered:
            self.waiting_for = triggered.dag_run_id
            again = Task(AskAgain, triggered.trigger_dag_id, triggered.dag_run_id, dict(triggered.conf or {}))
            self.again[triggered.dag_run_id] = again
            assert self._start(again) == "awaiting_input"
            return "deferred"
        except TaskDeferred as deferred:
            (self.waiting_for,) = deferred.trigger.run_ids
            return "deferred"
        except (Exception, SystemExit) as error:
            decision = operator.retry_policy.evaluate(error, ti.try_number, ti.max_tries, context)
            is_tried_again = decision.action is not RetryAction.FAIL and ti.try_number <= ti.max_tries
            return "up_for_retry" if is_tried_again else "failed"
        return "success"

    def _count(self, dag_id: str, run_ids: list[str], states: list[str] | None = None) -> int:
        found = [self.again[name] for name in run_ids if name in self.again]
        return len([task for task in found if states is None or task.page is None])

"""What waits without a worker: for an empty queue, and for the end of another DAG's run."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.triggers.external_task import DagStateTrigger
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, DagRunTriggerException
from airflow.triggers.base import BaseTrigger, TriggerEvent
from airflow.utils.state import DagRunState

from bascule import tasks
from bascule.operators.base import TryEnds, connect_ssh, task_run
from bascule.operators.connections import AirflowConnections
from bascule.text.logs import get_logger

if TYPE_CHECKING:
    from airflow.sdk import Context

log = get_logger(__name__)

FINAL_STATES: list[Any] = [DagRunState.SUCCESS, DagRunState.FAILED]
POLL_SECONDS = 1  # of the outage, twice


class WatchQueues(BaseOperator):
    """Waits, deferred, until the MX's queue is empty; counts by destination and reason go into the log.

    A bounce that is found is a failure with the message's id.
    """

    ui_color = "#e3eef9"

    def execute(self, context: "Context") -> None:
        with task_run(context) as run:
            waiting = tasks.queues.look(run)
            if not waiting or run.dry_run:
                return
            run.outcome.becomes("waiting", f"{waiting} message(s) wait in the queue of the MX")
            conn_id, seconds = run.site.hosts[run.site.queues.mx].ssh, run.site.queues.poll_seconds
        self.defer(trigger=QueueTrigger(conn_id=conn_id, seconds=seconds), method_name="look_again")

    def look_again(self, context: "Context", event: dict[str, Any]) -> None:
        if event.get("error"):
            log.warning("the queue could not be read", reason=event["error"])
        self.execute(context)


class QueueTrigger(BaseTrigger):
    """Fires when the queue is empty or has changed its count, at the latest after ten looks."""

    LOOKS = 10

    def __init__(self, conn_id: str, seconds: int) -> None:
        super().__init__()
        self.conn_id = conn_id
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.QueueTrigger", {"conn_id": self.conn_id, "seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        try:
            first = await asyncio.to_thread(self._count)
            for _ in range(self.LOOKS):
                if first == 0:
                    break
                await asyncio.sleep(self.seconds)
                if await asyncio.to_thread(self._count) != first:
                    break
            yield TriggerEvent({"error": ""})
        except Exception as error:
            yield TriggerEvent({"error": str(error)})

    def _count(self) -> int:
        return tasks.queues.count(lambda: connect_ssh(AirflowConnections().get(self.conn_id)))


def wait_for_run(
    operator: BaseOperator, context: "Context", dag_id: str, run_id: str, conf: dict[str, Any]
) -> NoReturn:
    """Run a DAG and wait, deferred, for its end; for a run that is under way already when there is one of this name.

    Runs of this name that have ended are counted: each has its number. The operator goes on in `execute_complete`.
    """
    count, ti = 1, context["ti"]
    while ti.get_dr_count(dag_id=dag_id, run_ids=[f"{run_id}~{count}"], states=FINAL_STATES):
        count += 1
    run_id = f"{run_id}~{count}"
    if ti.get_dr_count(dag_id=dag_id, run_ids=[run_id]):
        operator.defer(trigger=end_of_run(dag_id, run_id), method_name="execute_complete")
    raise DagRunTriggerException(
        trigger_dag_id=dag_id,
        dag_run_id=run_id,
        conf=conf,
        reset_dag_run=False,
        skip_when_already_exists=False,
        wait_for_completion=True,
        allowed_states=FINAL_STATES[:1],
        failed_states=FINAL_STATES[1:],
        poke_interval=POLL_SECONDS,
        deferrable=True,
    )


def end_of_run(dag_id: str, run_id: str) -> DagStateTrigger:
    return DagStateTrigger(dag_id=dag_id, states=FINAL_STATES, run_ids=[run_id], poll_interval=POLL_SECONDS)


def has_succeeded(event: Sequence[Any]) -> bool:
    """Whether the run succeeded whose end this event of a DagStateTrigger tells. Ends the try when it failed."""
    found = event[1]
    if any(found.get(run_id) == DagRunState.FAILED for run_id in found["run_ids"]):
        raise TryEnds(f"the run {found['run_ids'][0]} of `{found['dag_id']}` has failed: mend it, then clear this task")
    return True


class RunPhase(TriggerDagRunOperator):
    """Runs one phase's DAG and waits for its end.

    The phase's run is named after this run. When this task is cleared, it goes on waiting for that same run, which
    has meanwhile been mended, instead of starting a second one. So it does when its worker was lost; a phase that has
    failed needs a person, and ends it at once.
    """

    def __init__(self, *, phase: str, **kwargs: Any) -> None:
        super().__init__(
            trigger_dag_id=phase,
            trigger_run_id="{{ run_id }}",
            conf={"dry_run": "{{ params.dry_run }}"},
            wait_for_completion=True,
            deferrable=True,
            poke_interval=POLL_SECONDS,
            fail_when_dag_is_paused=True,
            openlineage_inject_parent_info=False,
            **kwargs,
        )

    def execute(self, context: "Context") -> None:
        # Rendered by Jinja, the switch is text; the phase's parameter is a boolean.
        self.conf = {"dry_run": bool(context["params"]["dry_run"])}
        run_id = str(self.trigger_run_id)
        if context["ti"].get_dr_count(dag_id=self.trigger_dag_id, run_ids=[run_id]):
            log.info("this phase has a run already: waiting for that one", phase=self.trigger_dag_id, run=run_id)
            self.defer(trigger=end_of_run(self.trigger_dag_id, run_id), method_name="execute_complete")
        super().execute(context)

    def execute_complete(self, context: "Context", event: tuple[str, dict[str, Any]]) -> None:
        try:
            super().execute_complete(context, event)
        except AirflowException:
            sentence = f"the run of `{self.trigger_dag_id}` has failed: mend it there, then clear this task"
            raise TryEnds(sentence) from None

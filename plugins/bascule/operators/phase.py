"""Beginning and end of a phase, and the day's task that runs a phase and waits for it."""

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.triggers.external_task import DagStateTrigger
from airflow.utils.state import DagRunState

from bascule.operators.runtime import BasculeOperator, Run

if TYPE_CHECKING:
    from airflow.sdk import Context

FINAL_STATES = [DagRunState.SUCCESS, DagRunState.FAILED]
POLL_SECONDS = 5


class BeginPhase(BasculeOperator):
    """First task of every phase: the site file is right, and the journal allows the phase to run."""

    def act(self, run: Run, context: "Context") -> None:
        import structlog

        from bascule.ledger import phases

        log = structlog.get_logger(__name__)
        if run.dry_run:
            log.info("dry run: everything is looked at, nothing is changed", phase=run.origin.phase)
            return
        phases.mark(run.ledger, run.origin.phase, "started", run.origin)
        log.info("the phase begins", phase=run.origin.phase, asked_by=run.origin.asked_by, site=run.site.name)


class FinishPhase(BasculeOperator):
    """Last task of every phase: all tasks before it have done their work; the journal gets to know."""

    def act(self, run: Run, context: "Context") -> None:
        import structlog

        from bascule.ledger import phases

        log = structlog.get_logger(__name__)
        if run.dry_run:
            log.info("dry run: the end of the phase, nothing was changed", phase=run.origin.phase)
            return
        phases.mark(run.ledger, run.origin.phase, "finished", run.origin)
        log.info("the phase is finished", phase=run.origin.phase)


class RunPhase(TriggerDagRunOperator):
    """Run one phase's DAG and wait for its end.

    The phase's run is named after this run. When this task is cleared, it goes on waiting for that same run, which
    has meanwhile been mended, instead of starting a second one.
    """

    def __init__(self, *, phase: str, **kwargs: Any) -> None:
        super().__init__(
            trigger_dag_id=phase,
            trigger_run_id="{{ run_id }}",
            conf={"dry_run": "{{ params.dry_run }}", "accounts": "{{ params.accounts }}"},
            wait_for_completion=True,
            deferrable=True,
            poke_interval=POLL_SECONDS,
            fail_when_dag_is_paused=True,
            openlineage_inject_parent_info=False,
            retries=0,  # the phase's own tasks are tried again; a failed phase needs a person
            **kwargs,
        )

    def execute(self, context: "Context") -> None:
        # Rendered by Jinja, the switch is text; the phase's parameter is a boolean.
        self.conf = {"dry_run": bool(context["params"]["dry_run"]), "accounts": str(context["params"]["accounts"])}
        run_id = str(self.trigger_run_id)
        if context["ti"].get_dr_count(dag_id=self.trigger_dag_id, run_ids=[run_id]):
            self.log.info("the phase %s has a run %s already: waiting for that one", self.trigger_dag_id, run_id)
            self.defer(
                trigger=DagStateTrigger(
                    dag_id=self.trigger_dag_id, states=FINAL_STATES, run_ids=[run_id], poll_interval=POLL_SECONDS
                ),
                method_name="execute_complete",
            )
        super().execute(context)

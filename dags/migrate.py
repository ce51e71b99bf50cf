"""The day: freeze, transfer, cutover, drain, one after the other."""

from airflow.sdk import dag
from bascule.operators.params import MIGRATE_DOC, PHASE_DEFAULTS, phase_params
from bascule.operators.phase import BeginPhase, FinishPhase, RunPhase


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params=phase_params(),
    default_args=PHASE_DEFAULTS,
    doc_md=MIGRATE_DOC,
    tags=["bascule"],
)
def migrate():
    (
        BeginPhase(task_id="begin")
        >> RunPhase(task_id="freeze", phase="freeze")
        >> RunPhase(task_id="transfer", phase="transfer")
        >> RunPhase(task_id="cutover", phase="cutover")
        >> RunPhase(task_id="drain", phase="drain")
        >> FinishPhase(task_id="finish")
    )


migrate()

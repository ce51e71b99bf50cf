"""The day: freeze, transfer, cutover, drain, one after the other."""

from airflow.sdk import dag
from bascule.operators.params import MIGRATE_DOC, phase_settings
from bascule.operators.tasks import BeginPhase, FinishPhase
from bascule.operators.waiting import RunPhase


@dag(**phase_settings(MIGRATE_DOC, for_everybody=True))
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

"""Back to the state before the freeze, as long as no go was given: the changes undone, the queued mail to old."""

from airflow.sdk import dag
from bascule.operators.params import ROLLBACK_DOC, phase_settings
from bascule.operators.phase import BeginPhase, FinishPhase
from bascule.operators.queue import FlushQueue
from bascule.operators.rollback import UndoChanges


@dag(**phase_settings(ROLLBACK_DOC))
def rollback():
    (
        BeginPhase(task_id="begin")
        >> UndoChanges(task_id="undo_changes")
        >> FlushQueue(task_id="let_queued_mail_flow")
        >> FinishPhase(task_id="finish")
    )


rollback()

"""From 13:30: the queues empty, every message that the MX accepted is accounted for, the report is written."""

from airflow.sdk import dag
from bascule.operators.params import DRAIN_DOC, phase_settings
from bascule.operators.tasks import AccountForMail, BeginPhase, FinalReport, FinishPhase, TellOwners
from bascule.operators.waiting import WatchQueues


@dag(**phase_settings(DRAIN_DOC, for_everybody=True))
def drain():
    (
        BeginPhase(task_id="begin")
        >> WatchQueues(task_id="watch_queues")
        >> AccountForMail(task_id="account_for_every_message")
        >> TellOwners(task_id="tell_owners")
        >> FinalReport(task_id="final_report")
        >> FinishPhase(task_id="finish")
    )


drain()

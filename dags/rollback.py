"""Back to the state before the freeze: new taken out of production, its mail carried to old, the changes undone."""

from airflow.sdk import dag, task_group
from bascule.operators.params import ROLLBACK_DOC, phase_settings
from bascule.operators.tasks import (
    BeginPhase,
    CarryBack,
    FinishPhase,
    FlushQueue,
    ListAccountsToCarryBack,
    UndoChanges,
    UndoCutover,
)


@dag(**phase_settings(ROLLBACK_DOC, for_everybody=True))
def rollback():
    begin = BeginPhase(task_id="begin")
    undo_cutover = UndoCutover(task_id="undo_cutover")
    accounts = ListAccountsToCarryBack(task_id="list_accounts_to_carry_back")

    @task_group
    def mailbox(account):
        CarryBack(task_id="carry_back", account=account, pool="mailboxes")

    carried_back = mailbox.expand(account=accounts.output)
    undo_changes = UndoChanges(task_id="undo_changes", trigger_rule="none_failed")
    flush = FlushQueue(task_id="let_queued_mail_flow")
    finish = FinishPhase(task_id="finish")

    begin >> undo_cutover >> accounts
    carried_back >> undo_changes >> flush >> finish


rollback()

"""Days before: ask, for every mailbox with open problems, the person who decides."""

from airflow.sdk import dag, task_group
from bascule.operators.hitl import SettleMailbox
from bascule.operators.params import PROBLEMS_DOC, phase_settings
from bascule.operators.tasks import BeginPhase, FinishPhase, ListAccountsWithProblems


@dag(**phase_settings(PROBLEMS_DOC))
def problems():
    begin = BeginPhase(task_id="begin")
    accounts = ListAccountsWithProblems(task_id="list_accounts_with_problems")

    @task_group
    def mailbox(account):
        SettleMailbox(task_id="review", account=account, pool="mailboxes")

    finish = FinishPhase(task_id="finish", trigger_rule="none_failed")

    begin >> accounts
    mailbox.expand(account=accounts.output) >> finish


problems()

"""Days before: ask, for every mailbox with open problems, the person who decides."""

from airflow.sdk import dag, task_group
from bascule.operators.mailbox import ListAccountsWithProblems, SettleMailbox
from bascule.operators.params import AGAIN, PROBLEMS_DOC, REVIEW, phase_settings
from bascule.operators.phase import BeginPhase, FinishPhase
from bascule.operators.review import ReviewProblems

ROOMS = ["mailbox", "account", "sieve", "calendar"]


@dag(**phase_settings(PROBLEMS_DOC))
def problems():
    begin = BeginPhase(task_id="begin")
    accounts = ListAccountsWithProblems(task_id="list_accounts_with_problems")

    @task_group
    def mailbox(account):
        review = ReviewProblems(task_id="review", account=account, rooms=ROOMS, **REVIEW)
        settle = SettleMailbox(
            task_id="settle", account=account, pool="mailboxes", map_index_template="{{ task.account }}"
        )
        review_again = ReviewProblems(task_id="review_again", account=account, rooms=ROOMS, **AGAIN)
        settle_again = SettleMailbox(
            task_id="settle_again", account=account, pool="mailboxes", map_index_template="{{ task.account }}"
        )
        review >> settle >> review_again >> settle_again

    finish = FinishPhase(task_id="finish", trigger_rule="none_failed")

    begin >> accounts
    mailbox.expand(account=accounts.output) >> finish


problems()

"""06:40 to 12:00: the difference since the last pass, the filters, the calendars; problems wait for a person."""

from airflow.sdk import dag, task_group
from bascule.operators.calendars import MigrateCalendars, SettleCalendar
from bascule.operators.filters import ConvertFilters, SettleFilter
from bascule.operators.keeping import SendKeptMailToOld
from bascule.operators.mailbox import ListAccounts, SettleMailbox, SyncMailbox
from bascule.operators.params import AGAIN, REVIEW, TRANSFER_DOC, phase_settings
from bascule.operators.phase import BeginPhase, FinishPhase
from bascule.operators.pop3 import CarryUidls
from bascule.operators.review import ReviewProblems

BY_ACCOUNT = "{{ task.account }}"


@dag(**phase_settings(TRANSFER_DOC))
def transfer():
    begin = BeginPhase(task_id="begin")
    accounts = ListAccounts(task_id="list_accounts")

    @task_group
    def mailbox(account):
        sync = SyncMailbox(task_id="sync", account=account, pool="mailboxes", map_index_template=BY_ACCOUNT)
        review = ReviewProblems(
            task_id="review", account=account, rooms=["mailbox", "account"], trigger_rule="one_failed", **REVIEW
        )
        settle = SettleMailbox(task_id="settle", account=account, pool="mailboxes", map_index_template=BY_ACCOUNT)
        review_again = ReviewProblems(task_id="review_again", account=account, rooms=["mailbox", "account"], **AGAIN)
        settle_again = SettleMailbox(
            task_id="settle_again", account=account, pool="mailboxes", map_index_template=BY_ACCOUNT
        )
        sync >> review >> settle >> review_again >> settle_again

    @task_group
    def repair_filters(account):
        review = ReviewProblems(task_id="review", account=account, rooms=["sieve"], **REVIEW)
        settle = SettleFilter(task_id="settle", account=account, map_index_template=BY_ACCOUNT)
        review_again = ReviewProblems(task_id="review_again", account=account, rooms=["sieve"], **AGAIN)
        settle_again = SettleFilter(task_id="settle_again", account=account, map_index_template=BY_ACCOUNT)
        review >> settle >> review_again >> settle_again

    @task_group
    def repair_calendars(account):
        review = ReviewProblems(task_id="review", account=account, rooms=["calendar"], **REVIEW)
        settle = SettleCalendar(task_id="settle", account=account, map_index_template=BY_ACCOUNT)
        review_again = ReviewProblems(task_id="review_again", account=account, rooms=["calendar"], **AGAIN)
        settle_again = SettleCalendar(task_id="settle_again", account=account, map_index_template=BY_ACCOUNT)
        review >> settle >> review_again >> settle_again

    mailboxes = mailbox.expand(account=accounts.output)
    filters = ConvertFilters(task_id="convert_filters", accounts=accounts.output)
    repaired_filters = repair_filters.expand(account=filters.output)
    calendars = MigrateCalendars(task_id="migrate_calendars", accounts=accounts.output)
    repaired_calendars = repair_calendars.expand(account=calendars.output)
    # Folders that were renamed by decision change the filters that file into them: convert once more, at the end.
    settle_filters = ConvertFilters(
        task_id="settle_filters", accounts=accounts.output, all_settled=True, trigger_rule="none_failed"
    )
    pop3 = CarryUidls(task_id="carry_pop3_uidls", trigger_rule="none_failed")
    kept = SendKeptMailToOld(task_id="send_kept_mail_to_old", trigger_rule="none_failed")
    finish = FinishPhase(task_id="finish", trigger_rule="none_failed")

    begin >> accounts
    [mailboxes, repaired_filters] >> settle_filters
    mailboxes >> pop3
    [settle_filters, repaired_calendars, pop3] >> kept >> finish


transfer()

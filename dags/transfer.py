"""06:40 to 12:00: the difference since the last pass, the filters, the calendars; problems wait for a person."""

from airflow.sdk import dag, task_group
from bascule.operators.hitl import RepairCalendars, RepairFilters, SyncMailbox
from bascule.operators.params import TRANSFER_DOC, phase_settings
from bascule.operators.tasks import (
    BeginPhase,
    CarryUidls,
    ConvertFilters,
    FinishPhase,
    ListAccounts,
    LookAtMailboxes,
    MigrateCalendars,
    SendKeptMailToOld,
)


@dag(**phase_settings(TRANSFER_DOC))
def transfer():
    begin = BeginPhase(task_id="begin")
    accounts = ListAccounts(task_id="list_accounts")
    look = LookAtMailboxes(task_id="look_at_mailboxes", accounts=accounts.output, pool="mailboxes")

    @task_group
    def mailbox(account):
        SyncMailbox(task_id="sync", account=account, pool="mailboxes")

    @task_group
    def repair_filters(account):
        RepairFilters(task_id="review", account=account)

    @task_group
    def repair_calendars(account):
        RepairCalendars(task_id="review", account=account)

    mailboxes = mailbox.expand(account=look.output)
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
    look >> filters  # Pigeonhole notes scripts in INBOX's log on new: a look behind that finds a change (its MODSEQ)
    [mailboxes, repaired_filters] >> settle_filters
    mailboxes >> pop3
    [settle_filters, repaired_calendars, pop3] >> kept >> finish


transfer()

"""Days before: look at everything, copy what can be copied, find every problem. Harmless to the running service."""

import os

from airflow.sdk import dag, task_group
from bascule.operators.params import PREPARE_DOC, phase_settings
from bascule.operators.tasks import (
    BeginPhase,
    ConvertFilters,
    CopyMailbox,
    FinishPhase,
    Forecast,
    ListAccounts,
    LookAtMailboxes,
    MigrateCalendars,
    Preflight,
    TellBeforeMoves,
)


@dag(**phase_settings(PREPARE_DOC, schedule=os.environ.get("BASCULE_PREPARE_SCHEDULE") or None))
def prepare():
    begin = BeginPhase(task_id="begin")
    preflight = Preflight(task_id="preflight")
    accounts = ListAccounts(task_id="list_accounts")
    look = LookAtMailboxes(task_id="look_at_mailboxes", accounts=accounts.output, pool="mailboxes")

    @task_group
    def mailbox(account):
        CopyMailbox(task_id="sync", account=account, pool="mailboxes")

    mailboxes = mailbox.expand(account=look.output)
    filters = ConvertFilters(
        task_id="look_at_filters", accounts=accounts.output, only_look=True, trigger_rule="none_failed"
    )
    calendars = MigrateCalendars(task_id="copy_calendars", accounts=accounts.output)
    forecast = Forecast(task_id="forecast")
    tell_before_moves = TellBeforeMoves(task_id="tell_before_moves")
    finish = FinishPhase(task_id="finish")

    begin >> preflight >> accounts >> [look, calendars]
    mailboxes >> filters
    [filters, calendars] >> forecast >> finish
    accounts >> tell_before_moves >> finish


prepare()

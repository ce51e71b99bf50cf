"""Days before: look at everything, copy what can be copied, find every problem. Harmless to the running service."""

import os

from airflow.sdk import dag, task_group
from bascule.operators.calendars import MigrateCalendars
from bascule.operators.checks import Forecast, Preflight
from bascule.operators.filters import ConvertFilters
from bascule.operators.mailbox import ListAccounts, SyncMailbox
from bascule.operators.params import PREPARE_DOC, phase_settings
from bascule.operators.phase import BeginPhase, FinishPhase


@dag(**phase_settings(PREPARE_DOC, schedule=os.environ.get("BASCULE_PREPARE_SCHEDULE") or None))
def prepare():
    begin = BeginPhase(task_id="begin")
    preflight = Preflight(task_id="preflight")
    accounts = ListAccounts(task_id="list_accounts")

    @task_group
    def mailbox(account):
        SyncMailbox(
            task_id="sync",
            account=account,
            needs_person=False,
            pool="mailboxes",
            map_index_template="{{ task.account }}",
        )

    mailboxes = mailbox.expand(account=accounts.output)
    filters = ConvertFilters(task_id="look_at_filters", accounts=accounts.output, only_look=True)
    calendars = MigrateCalendars(task_id="copy_calendars", accounts=accounts.output)
    forecast = Forecast(task_id="forecast")
    finish = FinishPhase(task_id="finish")

    begin >> preflight >> accounts >> [mailboxes, calendars]
    mailboxes >> filters
    [filters, calendars] >> forecast >> finish


prepare()

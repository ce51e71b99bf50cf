"""Calendars and address books: carry them for all accounts, and settle what a person decided about one."""

from typing import TYPE_CHECKING, Any, cast

from airflow.sdk.exceptions import AirflowFailException

from bascule.operators.runtime import BasculeOperator, Run

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg


class MigrateCalendars(BasculeOperator):
    """Carry the calendars and address books of the accounts. Returns the accounts for which a person is asked."""

    template_fields = ("accounts",)
    ui_color = "#fdf6d0"

    def __init__(self, *, accounts: "list[str] | XComArg", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.accounts = cast("list[str]", accounts)  # Airflow renders it before the task runs

    def act(self, run: Run, context: "Context") -> list[str]:
        from bascule.calendars import sync_accounts
        from bascule.ledger import problems
        from bascule.ledger.calendars import by_hand_lines
        from bascule.operators.standing import take_standing

        parallel = run.site.calendars.parallel
        sync_accounts(run.access, run.ledger, self.accounts, dry_run=run.dry_run, parallel=parallel, owner=run.owner)
        if decided := take_standing(run, "calendar", self.accounts):
            sync_accounts(run.access, run.ledger, decided, dry_run=False, parallel=parallel, owner=run.owner)
        for line in by_hand_lines(run.ledger):
            self.log.warning(line)
        waiting = set(problems.accounts_with_open(run.ledger, "calendar"))
        return [] if run.dry_run else [account for account in self.accounts if account in waiting]


class SettleCalendar(BasculeOperator):
    """Apply what was decided about one account's calendars and address books."""

    template_fields = ("account",)
    ui_color = "#fdf6d0"

    def __init__(self, *, account: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.account = account

    def act(self, run: Run, context: "Context") -> None:
        from bascule.calendars import sync_accounts
        from bascule.ledger import problems

        sync_accounts(run.access, run.ledger, [self.account], dry_run=run.dry_run, parallel=1, owner=run.owner)
        left = problems.problems(run.ledger, account=self.account, room="calendar")
        if left and not run.dry_run:
            raise AirflowFailException(
                f"{len(left)} problem(s) of the calendars of {self.account} are still open: `review_again` asks with "
                "what is new. If that was here already: run `problems` for this account, then clear this task."
            )

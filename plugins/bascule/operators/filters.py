"""Sieve filters: convert them for all accounts, and settle what a person decided about one."""

from typing import TYPE_CHECKING, Any, cast

from airflow.sdk.exceptions import AirflowFailException

from bascule.operators.runtime import BasculeOperator, Run

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg


class ConvertFilters(BasculeOperator):
    """Fetch, convert, check and put the filters of the accounts. Returns the accounts for which a person is asked.

    `only_look`: nothing is put on the new server (in `prepare`). `all_settled`: problems left end the task as failed.
    The filters of a mailbox that can't be reached wait until what was found about it is settled.
    """

    template_fields = ("accounts",)
    ui_color = "#f3e8fb"

    def __init__(
        self, *, accounts: "list[str] | XComArg", only_look: bool = False, all_settled: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.accounts = cast("list[str]", accounts)  # Airflow renders it before the task runs
        self.only_look = only_look
        self.all_settled = all_settled

    def act(self, run: Run, context: "Context") -> list[str]:
        import structlog

        from bascule.ledger import problems
        from bascule.operators.standing import take_standing
        from bascule.sieve.sync import sync_filters

        looks = run.dry_run or self.only_look
        unreached = problems.out_of_reach(run.ledger) & {*self.accounts}
        if unreached:
            structlog.get_logger(__name__).info(
                "filters left for later: their mailboxes can't be reached", accounts=sorted(unreached)
            )
        accounts = [account for account in self.accounts if account not in unreached]
        result = sync_filters(run.access, run.ledger, accounts, owner=run.owner, dry_run=looks)
        if (decided := take_standing(run, "sieve", result.waiting)) and not self.only_look:
            sync_filters(run.access, run.ledger, decided, owner=run.owner, dry_run=False)
        still_open = set(problems.accounts_with_open(run.ledger, "sieve"))
        waiting = [account for account in result.waiting if run.dry_run or account in still_open]
        if self.all_settled and waiting and not run.dry_run:
            raise AirflowFailException(
                f"the filters of {', '.join(waiting)} still need a person: run `problems` for them, "
                "then clear this task"
            )
        return waiting if not run.dry_run else []


class SettleFilter(BasculeOperator):
    """Apply what was decided about one account's filters, and see that the new server takes them."""

    template_fields = ("account",)
    ui_color = "#f3e8fb"

    def __init__(self, *, account: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.account = account

    def act(self, run: Run, context: "Context") -> None:
        from bascule.sieve.sync import settle_filter

        left = settle_filter(run.access, run.ledger, self.account, owner=run.owner)
        if left:
            raise AirflowFailException(
                f"{left} problem(s) of the filters of {self.account} are still open: `review_again` asks with "
                "what is new. If that was here already: run `problems` for this account, then clear this task."
            )

"""The mailbox task group: list the accounts, sync one mailbox, settle what a person decided."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from bascule.operators.runtime import BasculeOperator, Run

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bascule.mailbox.types import PassResult


class ListAccounts(BasculeOperator):
    """The accounts that this run works on, by name: what the mapped groups are made from."""

    ui_color = "#e3eef9"

    def act(self, run: Run, context: "Context") -> list[str]:
        import structlog

        from bascule import directory

        found = [account.name for account in directory.accounts(run.access, run.selection)]
        structlog.get_logger(__name__).info("accounts of this run", count=len(found), asked_for=run.selection)
        return found


class ListAccountsWithProblems(BasculeOperator):
    """The accounts about which a person has to be asked, or of which a decision waits to be carried out.

    The latter are left by a task that was killed, or by an Airflow that was lost: nobody is asked about them again.
    """

    ui_color = "#e3eef9"

    def act(self, run: Run, context: "Context") -> list[str]:
        import structlog

        from bascule import directory
        from bascule.ledger import problems

        chosen = {account.name for account in directory.accounts(run.access, run.selection)}
        waiting = {*problems.accounts_with_open(run.ledger), *problems.accounts_to_settle(run.ledger)}
        found = sorted(chosen & waiting)
        structlog.get_logger(__name__).info("accounts with open problems", count=len(found), accounts=found)
        return [] if run.dry_run else found


class SyncMailbox(BasculeOperator):
    """One pass over one mailbox: copy what is new, carry what changed, verify.

    `needs_person`: end as failed when a problem needs a person's decision, so that `review` asks for it; without it
    (in `prepare`) the problems are only written down.
    Returns {"messages": n, "copied": n, "bytes": n, "problems": n}.
    """

    template_fields = ("account",)
    ui_color = "#d9efdf"

    def __init__(self, *, account: str, needs_person: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.account = account
        self.needs_person = needs_person

    def act(self, run: Run, context: "Context") -> dict[str, int]:
        last_try = context["ti"].try_number > context["ti"].max_tries
        result = pass_over(run, self.account, write_failure=self.needs_person and last_try)
        if result.problems and self.needs_person and not run.dry_run:
            if result.failed:
                raise AirflowFailException(
                    f"{result.failed}. The task `review` beside this one asks what shall become of {self.account}."
                )
            raise AirflowFailException(
                f"{result.problems} problem(s) in the mailbox of {self.account} need a person; everything else has "
                "been copied. The task `review` beside this one asks for the decision."
            )
        return counts(result)


class SettleMailbox(BasculeOperator):
    """Apply what was decided for one mailbox: run the pass again with the decisions, and verify."""

    template_fields = ("account",)
    ui_color = "#d9efdf"

    def __init__(self, *, account: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.account = account

    def act(self, run: Run, context: "Context") -> dict[str, int]:
        result = pass_over(run, self.account, write_failure=True)
        left = result.problems + asked_again(run, self.account)
        if left and not run.dry_run:
            raise AirflowFailException(
                f"{left} problem(s) of {self.account} are still open after what was decided. `review_again` asks with "
                "what is new. If that was here already: run `problems` for this account, then clear this task."
            )
        return counts(result)


def asked_again(run: Run, account: str) -> int:
    """The open problems of other rooms about which the last answer could not be taken."""
    from bascule.decisions import record
    from bascule.ledger import problems

    found = {each.id for each in problems.problems(run.ledger, account=account) if each.room != "mailbox"}
    refused = record.last_refused(run.ledger, account, found)
    return len(refused.given) if refused else 0


def pass_over(run: Run, account: str, *, write_failure: bool) -> "PassResult":
    """Run the engine over one mailbox under its lease, once more when the site file decides about what it met.

    A mailbox that is kept on old by decision is left alone. A mailbox that can't be reached becomes a problem, so that
    a person is asked about it; with `write_failure` also one over which the connections keep breaking.
    """
    from bascule.decisions import record
    from bascule.ledger import leases, problems

    if account in problems.kept_on_old(run.ledger):
        return leave_on_old(run, account)
    with leases.lease(run.ledger, account, run.owner):
        result = one_pass(run, account, write_failure=write_failure)
        standing = run.site.decisions
        if not run.dry_run and record.take_standing(run.ledger, standing, account, ("mailbox", "account"), run.origin):
            if account in problems.kept_on_old(run.ledger):
                return leave_on_old(run, account)
            result = one_pass(run, account, write_failure=write_failure)
    return result


def one_pass(run: Run, account: str, *, write_failure: bool) -> "PassResult":
    """One pass of the engine. What was decided and is met again all the same becomes an open problem again."""
    import dataclasses

    from bascule.ledger import mailboxes, problems
    from bascule.ledger.base import now
    from bascule.mailbox import MailboxFailed, TransientError, job_for, sync_mailbox
    from bascule.operators.quota import raise_quota
    from bascule.operators.unreachable import unreachable

    began = now()
    raise_quota(run, account)
    try:
        result = sync_mailbox(job_for(run.access, account), run.ledger, dry_run=run.dry_run, progress=tell)
    except (MailboxFailed, TransientError) as error:
        if not run.dry_run:
            failed = unreachable(run, account, error, began, may_pass=not write_failure)
            if failed is not None:
                return failed
        if isinstance(error, MailboxFailed):
            raise AirflowFailException(str(error)) from None
        raise AirflowException(str(error)) from None
    if run.dry_run:
        return result
    with run.ledger.session() as session:
        again = problems.reopen_unsettled(session, account, ("mailbox",), since=began)
        # A mailbox that was left out because there was none is there now.
        problems.withdraw_unseen(session, account, "account", seen=(), states=("open", "decided", "settled"))
        if again:
            mailboxes.set_mailbox(session, account, "problems", problems=result.problems + again)
    return dataclasses.replace(result, problems=result.problems + again)


def leave_on_old(run: Run, account: str) -> "PassResult":
    """The mailbox stays where it is, by decision: nothing is copied, and the decision counts as carried out."""
    from bascule.ledger import mailboxes, problems
    from bascule.mailbox.types import PassResult

    decision = problems.kept_on_old(run.ledger)[account]
    if not run.dry_run:
        with run.ledger.session() as session:
            mailboxes.set_mailbox(session, account, "kept on old", note=f"decided by {decision.decided_by}")
            problems.settle_kept(session, account)
    tell(kept_on_old=account, decided_by=decision.decided_by)
    return PassResult(account, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, run.dry_run)


def tell(**fields: Any) -> None:
    """Progress of a pass, for the task's log."""
    import structlog

    structlog.get_logger(__name__).info("progress", **fields)


def counts(result: "PassResult") -> dict[str, int]:
    """What of a pass goes into XCom: small numbers only."""
    return {
        "folders": result.folders,
        "messages": result.messages,
        "copied": result.copied,
        "bytes": result.bytes,
        "problems": result.problems,
    }


def total(results: Sequence[dict[str, int]]) -> dict[str, int]:
    """The sum of many passes' counts."""
    keys = ("folders", "messages", "copied", "bytes", "problems")
    return {key: sum(result[key] for result in results) for key in keys}

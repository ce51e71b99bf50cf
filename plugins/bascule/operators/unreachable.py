"""Mailboxes that no pass can reach: a problem for a person, and what becomes of it by decision."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from bascule.operators.runtime import Run

if TYPE_CHECKING:
    from bascule.ledger.problems import Decision, Problem
    from bascule.mailbox import Server
    from bascule.mailbox.types import PassResult


def unreachable(run: Run, account: str, error: Exception, since: datetime, *, may_pass: bool) -> "PassResult | None":
    """Write the problem down; or leave out what does not exist on old, when that was decided on the same facts.

    None when the task shall fail: the trouble may pass by itself. With `may_pass` it is then not written down either.
    """
    from bascule.mailbox import TransientError
    from bascule.mailbox.reaching import PASS_FAILED
    from bascule.mailbox.types import PassResult

    problem = find(run, account, error)
    transient = isinstance(error, TransientError) and problem.kind == PASS_FAILED
    if transient and may_pass:
        return None
    decision = write(run, problem, since)
    if transient:
        return None
    if decision is None:
        return PassResult(account, 0, 0, 0, 0, 0, 0, 1, 0, 0.0, failed=str(error))
    leave_out(run, problem, decision)
    return PassResult(account, 0, 0, 0, 0, 0, 0, 0, 0, 0.0)


def find(run: Run, account: str, error: Exception) -> "Problem":
    """What kind of problem it is."""
    from bascule.ledger import mailboxes
    from bascule.mailbox import reaching

    state = mailboxes.mailbox_states(run.ledger).get(account)
    carried = state is not None and state.passes > 0
    return reaching.unreachable(account, error, lambda side: others(run, account, side), carried=carried)


def write(run: Run, problem: "Problem", since: datetime) -> "Decision | None":
    """Put the problem into the ledger; return the decision in force by which the account is left out."""
    from bascule.ledger import problems
    from bascule.ledger.report import leaves_out

    with run.ledger.session() as session:
        number = problems.report(session, problem)
        problems.withdraw_unseen(session, problem.account, "account", seen=(number,))
    for known, decision in problems.decisions(run.ledger, problem.account, "account"):
        if known.id == number and problem.proposal["action"] == "leave out" and leaves_out(known, decision):
            return decision
    with run.ledger.session() as session:
        problems.reopen_unsettled(session, problem.account, ("mailbox", "account"), since=since)
    return None


def leave_out(run: Run, problem: "Problem", decision: "Decision") -> None:
    """There is nothing of this account on old: nothing is left to be carried or verified."""
    from bascule.ledger import mailboxes, problems

    note = f"nothing to carry, left out by decision of {decision.decided_by}: {problem.server_words}"
    with run.ledger.session() as session:
        mailboxes.set_mailbox(session, problem.account, "verified", folders=0, messages=0, problems=0, note=note)
        problems.settle(session, decision.problem_id)


def others(run: Run, account: str, side: str) -> Iterator[tuple[str, "Server"]]:
    """Accounts that passes have reached, the latest first, with the server of this side as they see it."""
    from bascule.ledger import mailboxes
    from bascule.mailbox import job_for

    states = [each for each in mailboxes.mailbox_states(run.ledger).values() if each.last_pass_at is not None]
    for state in sorted(states, key=lambda each: str(each.last_pass_at), reverse=True):
        if state.account != account and state.state != "failed":
            job = job_for(run.access, state.account)
            yield state.account, job.old if side == "old" else job.new

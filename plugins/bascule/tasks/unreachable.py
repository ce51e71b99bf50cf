"""Mailboxes that no pass can reach: a problem for a person, and what becomes of it by decision."""

from collections.abc import Iterator
from datetime import datetime

from bascule import mailbox
from bascule.hosts.login import NoPassword
from bascule.ledger import mailboxes
from bascule.ledger.base import now
from bascule.mailbox import Server, TransientError
from bascule.mailbox.result import PassResult
from bascule.mailbox.unreachable import PASS_FAILED, unreachable
from bascule.problems import store
from bascule.problems.model import Action, Decision, Problem
from bascule.problems.rules import leaves_out
from bascule.tasks.run import Run


def note(run: Run, account: str, error: Exception, since: datetime, *, may_pass: bool) -> PassResult | None:
    """Write the problem down; or leave out what does not exist on old, when that was decided on the same facts.

    With `may_pass` nothing is written, and None returned, where it may pass by itself.
    """
    problem = _problem(run, account, error)
    if may_pass and isinstance(error, TransientError) and problem.kind == PASS_FAILED:
        return None
    decision = _write(run, problem, since)
    if decision is None:
        return PassResult(account, 0, 0, 0, 0, 0, 0, 1, 0, 0.0, failed=str(error))
    _leave_out(run, problem, decision)
    return PassResult(account, 0, 0, 0, 0, 0, 0, 0, 0, 0.0)


def _problem(run: Run, account: str, error: Exception) -> Problem:
    state = mailboxes.mailbox_states(run.ledger).get(account)
    carried = state is not None and state.passes > 0
    return unreachable(account, error, lambda side: _others(run, account, side), carried=carried)


def _write(run: Run, problem: Problem, since: datetime) -> Decision | None:
    """Put the problem into the ledger; return the decision in force by which the account is left out."""
    with run.ledger.session() as session:
        store.hold_account(session, problem.account)
        number = store.report(session, problem)
        store.withdraw_unseen(session, problem.account, "account", seen=(number,))
    for known, decision in store.decisions(run.ledger, problem.account, "account"):
        if known.id == number and problem.proposal.action is Action.LEAVE_OUT and leaves_out(decision):
            return decision
    with run.ledger.session() as session:
        store.reopen_unsettled(session, problem.account, ("mailbox", "account"), since=since)
    return None


def _leave_out(run: Run, problem: Problem, decision: Decision) -> None:
    """There is nothing of this account on old: nothing is left to be carried or verified."""
    words = f"nothing to carry, left out by decision of {decision.decided_by}: {problem.server_words}"
    with run.ledger.session() as session:
        mailboxes.set_mailbox(
            session, problem.account, "verified", folders=0, messages=0, problems=0, note=words, looked_at=now()
        )
        store.settle(session, decision.problem_id)


def _others(run: Run, account: str, side: str) -> Iterator[tuple[str, Server]]:
    """Accounts that passes have reached, the latest first, with the server of this side as they see it.

    Without those that have no password any more.
    """
    states = [each for each in mailboxes.mailbox_states(run.ledger).values() if each.last_pass_at is not None]
    for state in sorted(states, key=lambda each: str(each.last_pass_at), reverse=True):
        if state.account != account and state.state != "failed":
            try:
                job = mailbox.job_for(run.access, state.account)
            except NoPassword:
                continue
            yield state.account, job.old if side == "old" else job.new

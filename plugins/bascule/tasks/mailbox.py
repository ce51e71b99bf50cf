"""One mailbox: its lease, kept on old, its quota, the pass, standing decisions, and what can't be reached."""

import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import Any

from bascule import changes, mailbox
from bascule.changes import base
from bascule.hosts.connections import AccessError
from bascule.ledger import journal, leases, mailboxes, moves
from bascule.ledger.base import now
from bascule.mailbox import MailboxFailed, TransientError
from bascule.mailbox.back import sync_back
from bascule.mailbox.carry_back import MIXED_UP, NOT_RAISED
from bascule.mailbox.carry_back import carry_back as engine_carry_back
from bascule.mailbox.job import doveadm_of_old, job_back
from bascule.mailbox.result import PassResult
from bascule.problems import standing, store
from bascule.problems.model import Action, Decision, Room
from bascule.problems.rules import applies
from bascule.tasks import unreachable
from bascule.tasks.run import NeedsPerson, Run, TryAgain
from bascule.text.logs import get_logger

log = get_logger(__name__)

Progress = Callable[..., None]  # called with copied= and bytes=
ROOMS: tuple[Room, ...] = ("mailbox", "account")  # whose problems a pass finds
MEND_ON_OLD = (
    "Mend it on old and clear this task; or mark it as success: the mail then stays on the new server, and the next "
    "migration finds it there."
)


def sync(run: Run, account: str, *, last_try: bool) -> dict[str, int]:
    """One pass over one mailbox: copy what is new, carry what changed and what was decided, verify.

    Returns what goes into XCom: {"folders": n, "messages": n, "copied": n, "bytes": n, "problems": n}. Raises TryAgain
    when the connections keep breaking; at the last try of all that is a problem for a person instead.
    """
    result = pass_over(run, account, last_try=last_try, progress=tell, of_move=False)
    return {name: getattr(result, name) for name in ("folders", "messages", "copied", "bytes", "problems")}


def tell(copied: int, bytes: int) -> None:
    """Progress of a pass, for the task's log."""
    log.info("progress", copied=copied, bytes=bytes)


def pass_over(
    run: Run, account: str, *, last_try: bool, progress: Progress | None = None, of_move: bool = True
) -> PassResult:
    """Run the engine over one mailbox under its lease, once more when the site file or a person decides meanwhile.

    A mailbox that is kept on old by decision is left alone, and (unless it is a pass `of_move`) one that has moved on
    its own: a folder that its user has renamed on new since would be carried again. One that can't be reached becomes
    a problem, so that a person is asked about it; at the last try also one over which the connections keep breaking.
    Raises LeaseHeld, TryAgain and NeedsPerson.
    """
    with leases.lease(run.ledger, account, run.owner, patience=run.patience):
        if not of_move and account in moves.moved(run.ledger):
            return leave_on_new(run, account)
        if account in store.kept_on_old(run.ledger, account):
            return leave_on_old(run, account)
        began = now()
        result = one_pass(run, account, last_try=last_try, progress=progress)
        if run.dry_run:
            return result
        standing.take_standing(run.ledger, run.site.decisions, account, ROOMS, run.origin)
        while store.decided_since(run.ledger, account, ROOMS, began):
            if account in store.kept_on_old(run.ledger, account):
                return leave_on_old(run, account)
            began = now()
            result = one_pass(run, account, last_try=last_try, progress=progress)
        return result


def one_pass(run: Run, account: str, *, last_try: bool, progress: Progress | None = None) -> PassResult:
    """One pass of the engine. What was decided and is met again all the same becomes an open problem again."""
    began = now()
    raise_quota(run, account)
    try:
        job = mailbox.job_for(run.access, account)
        result = mailbox.sync_mailbox(job, run.ledger, owner=run.owner, dry_run=run.dry_run, progress=progress)
    except (MailboxFailed, TransientError) as error:
        return _not_reached(run, account, error, began, last_try=last_try)
    if run.dry_run:
        return result
    with run.ledger.session() as session:
        again = store.reopen_unsettled(session, account, ("mailbox",), since=began)
        # A mailbox that was left out because there was none is there now.
        store.withdraw_unseen(session, account, "account", seen=(), states=("open", "decided", "settled"))
        if again:
            mailboxes.set_mailbox(session, account, "problems", problems=result.problems + again)
    return dataclasses.replace(result, problems=result.problems + again)


def _not_reached(run: Run, account: str, error: Exception, began: datetime, *, last_try: bool) -> PassResult:
    if run.dry_run and isinstance(error, MailboxFailed):
        raise NeedsPerson(str(error)) from None
    result = None if run.dry_run else unreachable.note(run, account, error, began, may_pass=not last_try)
    if result is None:
        raise TryAgain(str(error)) from None
    return result


def leave_on_old(run: Run, account: str) -> PassResult:
    """The mailbox stays where it is, by decision: nothing is copied, and the decision counts as carried out."""
    decision = store.kept_on_old(run.ledger, account)[account]
    if not run.dry_run:
        with run.ledger.session() as session:
            mailboxes.set_mailbox(session, account, "kept on old", note=f"decided by {decision.decided_by}")
            store.settle_kept(session, account)
    log.info("the mailbox is kept on the old server", account=account, decided_by=decision.decided_by)
    return PassResult(account, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, run.dry_run)


def leave_on_new(run: Run, account: str) -> PassResult:
    """It has moved on its own, and its user works there: nothing is copied, what was accepted since is settled."""
    if not run.dry_run:
        with run.ledger.session() as session:
            left = store.settle_moved(session, account, ROOMS)
            row = session.get(mailboxes.MailboxRow, account)
            if row is not None and row.state == "problems":
                mailboxes.set_mailbox(session, account, "problems" if left else "verified", problems=left)
    log.info("the account has moved to new on its own: its mailbox is left alone", account=account)
    return PassResult(account, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, run.dry_run)


def raise_quota(run: Run, account: str) -> None:
    """Raise the account's quota on new, if that was decided and is not done. What goes wrong is told in the log.

    The pass that follows finds the space that there is then; the decision is asked for again where that is not enough.
    """
    decision = _quota_decided(run, account)
    if decision is None:
        return
    parameters: dict[str, Any] = {"account": account, "bytes": decision.chosen.bytes}
    try:
        change = changes.kind("quota").from_parameters(run.access, parameters)
        base.run(change, run.ledger, run.origin, dry_run=run.dry_run)
    except (base.ChangeFailed, AccessError) as error:
        log.error("quota not raised", account=account, reason=str(error), decided_by=decision.decided_by)


def _quota_decided(run: Run, account: str) -> Decision | None:
    """The decision to raise the quota that no pass has seen the good of yet."""
    for problem, decision in store.decisions(run.ledger, account, "mailbox"):
        if problem.kind == "quota" and problem.state == "decided" and applies(decision, Action.RAISE_QUOTA):
            return decision
    return None


def pass_back(run: Run, account: str) -> PassResult:
    """One pass from new to old, of an account that goes back on its own. Raises LeaseHeld, TryAgain and NeedsPerson."""
    try:
        return sync_back(job_back(run.access, account), run.ledger, owner=run.owner)
    except TransientError as error:
        raise TryAgain(str(error)) from None
    except MailboxFailed as error:
        raise NeedsPerson(str(error)) from None


def carry_back(run: Run, account: str) -> dict[str, int]:
    """Bring the mail of one account that reached new since the last pass to old. Safe to run again.

    Returns {"copied": n, "bytes": n, "there": n}. Raises LeaseHeld, TryAgain and NeedsPerson.
    """
    try:
        job = mailbox.job_for(run.access, account)
        doveadm = doveadm_of_old(run.access, account)
        done = engine_carry_back(job, run.ledger, doveadm, owner=run.owner, dry_run=run.dry_run)
    except TransientError as error:
        raise TryAgain(str(error)) from None
    except MailboxFailed as error:
        raise NeedsPerson(f"{error}. {MEND_ON_OLD}") from None
    for note, folders in ((NOT_RAISED, done.not_raised), (MIXED_UP, done.mixed_up)):
        if folders:
            journal.append(run.ledger, journal.Entry("note", "UIDs", account, run.origin, after=folders, note=note))
    if done.refused:
        raise NeedsPerson(
            f"old does not take some mail of {account}; everything else has been carried back. {MEND_ON_OLD}\n"
            + "\n".join(done.refused[:50])
        )
    return {"copied": done.copied, "bytes": done.bytes, "there": done.there}

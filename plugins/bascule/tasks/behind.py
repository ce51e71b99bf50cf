"""After moves: what came to old behind the last pass of those who have moved is put on new."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger, journal, leases, moves
from bascule.ledger.carried import others_may_write
from bascule.ledger.moves import State
from bascule.mailbox import MailboxFailed, MailboxJob, TransientError
from bascule.mailbox.behind import Behind, Seen, carry_behind
from bascule.moves.machine import KIND
from bascule.site import at_once
from bascule.tasks.look import jobs_for
from bascule.tasks.run import Run
from bascule.text.harmless import harmless
from bascule.text.logs import get_logger
from bascule.text.reason import reason

log = get_logger(__name__)

WHAT = "behind"  # in the journal
NOT_LOOKED_AT = "what came to old behind its move was not looked at"


def carry(run: Run) -> int:
    """Of those whose move has ended in this run, and of everybody who has moved and lets others write into a folder.

    What can't be carried now is in the log, and is looked at again after the next moves. Returns how many messages.
    """
    chosen = sorted(moves.moved(run.ledger) & (others_may_write(run.ledger) | ended_in(run)))
    if run.dry_run or not chosen:
        return 0
    connections = at_once.mailboxes_at_once()  # to each server
    jobs, without = jobs_for(run, chosen)
    for account, why in without.items():
        log.error(NOT_LOOKED_AT, account=account, reason=why)
    with ThreadPoolExecutor(connections) as pool:
        copied = sum(pool.map(lambda job: _of_one(run, job), jobs))
    log.info("looked at old behind the moves", accounts=len(chosen), carried=copied)
    return copied


@contextlib.contextmanager
def carried_after(run: Run) -> Iterator[None]:
    """Do it after the body, also when that raises: other moves may have ended before.

    What the body raises goes on then; what the look raises beside it is in the log.
    """
    try:
        yield
    except Exception:
        try:
            carry(run)
        except Exception as error:
            log.error("what came to old behind the moves was not looked at", reason=reason(error))
        raise
    carry(run)


def ended_in(run: Run) -> set[str]:
    """Whose moves have ended in this run, whichever one began them."""
    ends = journal.entries(run.ledger, kind=KIND, run=run.origin.run) if run.origin.run else []
    return {entry.subject for entry in ends if entry.parameters.get("what") == State.DONE}


def _of_one(run: Run, job: MailboxJob) -> int:
    account = job.account
    try:
        with leases.lease(run.ledger, account, run.owner):
            if moves.under_way(run.ledger, account) is not None or account not in moves.moved(run.ledger):
                return 0
            found = carry_behind(job, run.ledger, _seen(run.ledger, account), owner=run.owner)
            _tell(run, account, found)
            return found.copied
    except (AccessError, MailboxFailed, TransientError, leases.LeaseHeld) as error:
        log.error(NOT_LOOKED_AT, account=account, reason=str(error))
        return 0


def _tell(run: Run, account: str, found: Behind) -> None:
    for line in found.refused:
        log.error("new does not take what came to old behind the move", account=account, message=harmless(line))
    if not found.seen and not found.copied:
        return
    after = {"copied": found.copied, "seen": found.seen, "refused": len(found.refused)}
    note = f"{found.copied} message(s) that came to old behind its move are on new"
    parameters = {"what": WHAT}
    journal.append(run.ledger, journal.Entry("note", KIND, account, run.origin, parameters, after=after, note=note))
    log.warning(note, account=account)


def _seen(ledger: Ledger, account: str) -> Seen:
    """How far each folder was looked through, as the journal has it."""
    seen: Seen = {}
    for entry in journal.entries(ledger, kind=KIND, subject=account):
        if entry.parameters.get("what") == WHAT:
            seen |= (entry.after or {})["seen"]
    return seen

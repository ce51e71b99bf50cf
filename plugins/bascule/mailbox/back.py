"""The way back of an account that had moved: passes with new as the source, so that old becomes what new is.

What was removed, flagged or filed on new is so on old, and each message keeps its UID. The day's `rollback` goes by
`carry_back.py` instead, which changes and removes nothing on old.
"""

from dataclasses import replace

from bascule.ledger import Ledger
from bascule.mailbox.carry_back import carry_back
from bascule.mailbox.imap.errors import MailboxFailed, TransientError
from bascule.mailbox.job import MailboxJob
from bascule.mailbox.result import PassResult
from bascule.mailbox.state.turn import turn
from bascule.mailbox.sync import ManyGone, sync_mailbox
from bascule.text.logs import get_logger

log = get_logger(__name__)

PLACES = "on the way back the two servers have changed places: what is called old here is new, and the other way round"


def sync_back(job: MailboxJob, ledger: Ledger, *, owner: str = "") -> PassResult:
    """One pass of a `job_back`. Raises TransientError, MailboxFailed and LeaseHeld.

    Where most of the mailbox is gone from new, as after a loss there, nothing is removed or changed on old.
    """
    try:
        return sync_mailbox(job, ledger, owner=owner)
    except ManyGone as error:
        log.error("too much is gone: what came to new is carried to old, nothing is removed there", reason=str(error))
        return _carried(job, ledger, owner)
    except (TransientError, MailboxFailed) as error:
        kind = TransientError if isinstance(error, TransientError) else MailboxFailed
        raise kind(f"{error} ({PLACES})") from error


def stay_on_old(ledger: Ledger, account: str) -> None:
    """The account is back: from here on passes go from old to new again."""
    turn(ledger, account, "old")


def _carried(job: MailboxJob, ledger: Ledger, owner: str) -> PassResult:
    turn(ledger, job.account, "old")
    there = replace(job, old=job.new, new=job.old, doveadm=None, source="old")
    done = carry_back(there, ledger, job.doveadm, owner=owner)
    if done.refused:
        raise MailboxFailed(f"old does not take some mail of {job.account}: {'; '.join(done.refused[:5])}")
    return PassResult(job.account, 0, done.copied + done.there, done.bytes, done.copied, 0, 0, 0, 0, 0.0, False)

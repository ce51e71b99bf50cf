"""Which mailboxes need a pass. One look over all of them proves of the others that nothing has changed."""

from collections.abc import Iterable

from bascule import mailbox
from bascule.hosts.login import NoPassword
from bascule.ledger import journal, leases, mailboxes, moves
from bascule.mailbox import MailboxJob
from bascule.mailbox.look import NOT_LOOKED_AT, look_over
from bascule.site import at_once
from bascule.tasks.run import Run
from bascule.text.logs import get_logger

log = get_logger(__name__)

KIND = "look"  # in the journal


def look(run: Run, accounts: list[str]) -> list[str]:
    """The accounts whose mailboxes need a pass, by name. Journal and ledger get to know of all what was found.

    Run again in the same run, it keeps those that it gave before at their places: an instance of a mapped task goes by
    its place, and must stay the one of the same account.
    """
    accounts = moves.not_moved(run.ledger, accounts)
    busy = leases.held_by_others(run.ledger, run.owner)
    jobs, without = jobs_for(run, [account for account in accounts if account not in busy])
    connections = at_once.mailboxes_at_once()  # to each server
    reasons = {each.account: each.reason for each in look_over(jobs, run.ledger, connections=connections)}
    reasons |= {account: NOT_LOOKED_AT.format(why=why) for account, why in without.items()}
    reasons |= {account: f"{busy[account]} works on it" for account in accounts if account in busy}
    waiting = {account: reasons[account] for account in accounts if reasons[account]}
    unchanged = [account for account in accounts if not reasons[account]]
    before = _given_before(run)
    given = [*before, *(account for account in waiting if account not in before)]
    if not run.dry_run:
        _write(run, unchanged, waiting, given)
    log.info(
        "looked at all mailboxes", unchanged=len(unchanged), need_a_pass=len(waiting), with_a_task=len(given),
        reasons=waiting,
    )  # fmt: skip
    return given


def jobs_for(run: Run, accounts: Iterable[str]) -> tuple[list[MailboxJob], dict[str, str]]:
    """The jobs of these accounts; by account, why there is none, which its own task tells by failing.

    Raises AccessError for what is wrong with a whole connection: it would fail the tasks of all.
    """
    jobs: list[MailboxJob] = []
    without: dict[str, str] = {}
    for account in accounts:
        try:
            jobs.append(mailbox.job_for(run.access, account))
        except NoPassword as error:
            without[account] = str(error)
    return jobs, without


def _given_before(run: Run) -> list[str]:
    found = [entry for entry in journal.entries(run.ledger, kind=KIND) if entry.origin == run.origin]
    return list((found[-1].after or {})["with a task"]) if found else []


def _write(run: Run, unchanged: list[str], waiting: dict[str, str], given: list[str]) -> None:
    after = {"unchanged": unchanged, "need a pass": waiting, "with a task": given}
    note = f"{len(unchanged)} unchanged since they were verified, {len(waiting)} need a pass"
    with run.ledger.session() as session:
        mailboxes.note_looks(session, set(unchanged), waiting)
        journal.write(session, journal.Entry("note", KIND, "mailboxes", run.origin, after=after, note=note))

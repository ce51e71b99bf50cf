"""Sieve filters: convert them for many accounts, and settle what a person decided about one."""

from collections.abc import Sequence

from bascule.ledger import mailboxes, moves, phases
from bascule.problems import store
from bascule.sieve import sync
from bascule.tasks.run import NeedsPerson, Run
from bascule.tasks.standing import take_standing
from bascule.text.logs import get_logger

log = get_logger(__name__)


def convert(run: Run, accounts: Sequence[str], *, only_look: bool = False, all_settled: bool = False) -> list[str]:
    """Fetch, convert, check and put the filters of the accounts. Returns the accounts for which a person is asked.

    `only_look`: nothing is put on the new server. `all_settled`: once more, for those whose folders or decisions this
    phase may have changed; raises NeedsPerson when problems are left. The filters of a mailbox that can't be reached
    wait until what was found about it is settled. Raises FiltersFailed.
    """
    accounts = moves.not_moved(run.ledger, accounts)
    reached = _reached(run, _may_differ(run, accounts) if all_settled else accounts)
    looks = run.dry_run or only_look
    result = sync.sync_filters(run.access, run.ledger, reached, owner=run.owner, dry_run=looks)
    if (decided := take_standing(run, "sieve", result.waiting)) and not only_look:
        sync.sync_filters(run.access, run.ledger, decided, owner=run.owner, dry_run=False)
    if run.dry_run:
        return []
    still_open = set(store.accounts_with_open(run.ledger, "sieve"))
    waiting = [account for account in result.waiting if account in still_open]
    if all_settled and waiting:
        raise NeedsPerson(
            f"the filters of {', '.join(waiting)} still need a person: run `problems` for them, then clear this task"
        )
    return waiting


def _may_differ(run: Run, accounts: Sequence[str]) -> list[str]:
    """Those whose mailbox had a pass since the phase began, or about whose filters a person is or was asked."""
    began = phases.marked_at(run.ledger, run.origin.phase, "started")
    states = mailboxes.mailbox_states(run.ledger)
    about = {problem.account for problem in store.problems(run.ledger, room="sieve", states=("open", "decided"))}

    def unchanged(account: str) -> bool:
        passed = states[account].last_pass_at if account in states else None
        return began is not None and account not in about and passed is not None and passed < began

    return [account for account in accounts if not unchanged(account)]


def _reached(run: Run, accounts: Sequence[str]) -> list[str]:
    unreached = store.out_of_reach(run.ledger).intersection(accounts)
    if unreached:
        log.info("filters left for later: their mailboxes can't be reached", accounts=sorted(unreached))
    return [account for account in accounts if account not in unreached]


def settle(run: Run, account: str) -> None:
    """Apply what was decided about one account's filters. Raises FiltersFailed."""
    sync.sync_filters(run.access, run.ledger, [account], owner=run.owner, dry_run=run.dry_run)

"""Sieve filters: convert them for many accounts, and settle what a person decided about one."""

from collections.abc import Sequence

from bascule.ledger import journal, mailboxes, moves, phases
from bascule.problems import store
from bascule.sieve import sync
from bascule.tasks.run import NeedsPerson, Run
from bascule.tasks.standing import take_standing
from bascule.text.logs import get_logger

log = get_logger(__name__)

KIND = "filters"  # in the journal
SETTLED_IN = "transfer"  # the phase that converts, and once more what has changed meanwhile


def convert(run: Run, accounts: Sequence[str], *, only_look: bool = False, all_settled: bool = False) -> list[str]:
    """Fetch, convert, check and put the filters of the accounts. Returns the accounts for which a person is asked.

    `only_look`: nothing is put on the new server. `all_settled`: once more, for those whose folders or decisions have
    changed since this run converted them, or where something could not be had then; raises NeedsPerson when problems
    are left. The filters of a mailbox that can't be reached wait until what was found about it is settled. Raises
    FiltersFailed.
    """
    accounts = _reached(run, moves.not_moved(run.ledger, accounts))
    looks = run.dry_run or only_look
    result = sync.sync_filters(
        run.access, run.ledger, _may_differ(run, accounts) if all_settled else accounts, owner=run.owner, dry_run=looks
    )
    folders = result.folders
    if (decided := take_standing(run, "sieve", result.waiting)) and not only_look:
        folders |= sync.sync_filters(run.access, run.ledger, decided, owner=run.owner, dry_run=False).folders
    if run.dry_run:
        return []
    _note(run, folders)
    still_open = set(store.accounts_with_open(run.ledger, "sieve"))
    waiting = [account for account in result.waiting if account in still_open]
    if all_settled and waiting:
        raise NeedsPerson(
            f"the filters of {', '.join(waiting)} still need a person: run `problems` for them, then clear this task"
        )
    return waiting


def _note(run: Run, folders: dict[str, str]) -> None:
    """By what knowledge of their folders the filters of these accounts were converted, where that is asked later."""
    if run.origin.phase != SETTLED_IN:
        return
    note = f"the filters of {len(folders)} account(s) were converted"
    journal.append(run.ledger, journal.Entry("note", KIND, "filters", run.origin, after=folders, note=note))


def _may_differ(run: Run, accounts: Sequence[str]) -> list[str]:
    """Those whose folders are not as they were when this run converted their filters, or about whom a person is asked.

    And those of whom something could not be had. Old is frozen: nothing else can change what becomes of a filter.
    Without a pass since then nobody's folders differ.
    """
    began = phases.marked(run.ledger, run.origin.phase, "started")
    if began is None:
        return [*accounts]
    states = mailboxes.mailbox_states(run.ledger)
    about = {problem.account for problem in store.problems(run.ledger, room="sieve", states=("open", "decided"))}
    converted = _converted(run, began)

    def unchanged(account: str) -> bool:
        passed = states[account].last_pass_at if account in states else None
        return passed is not None and began.at is not None and passed < began.at

    passed = [account for account in accounts if account in converted and not unchanged(account)]
    now = sync.folders_known_now(run.access, run.ledger, passed)
    differ = {account for account in passed if converted[account] != now[account]}
    return [account for account in accounts if account in about or account in differ or account not in converted]


def _converted(run: Run, began: journal.Entry) -> dict[str, str]:
    """Account -> fingerprint of its folders when its filters were converted last in this run, with all that was needed.

    A run may begin anew under its name, after a way back: what it noted before tells nothing.
    """
    found: dict[str, str] = {}
    for entry in journal.entries(run.ledger, kind=KIND):
        if entry.origin.run == run.origin.run and entry.number > began.number:
            found |= entry.after or {}
    return {account: fingerprint for account, fingerprint in found.items() if fingerprint}


def _reached(run: Run, accounts: Sequence[str]) -> list[str]:
    unreached = store.out_of_reach(run.ledger).intersection(accounts)
    if unreached:
        log.info("filters left for later: their mailboxes can't be reached", accounts=sorted(unreached))
    return [account for account in accounts if account not in unreached]


def settle(run: Run, account: str) -> None:
    """Apply what was decided about one account's filters. Raises FiltersFailed."""
    done = sync.sync_filters(run.access, run.ledger, [account], owner=run.owner, dry_run=run.dry_run)
    if not run.dry_run:
        _note(run, done.folders)

"""Carry all calendars and address books of accounts: many accounts side by side, each by itself."""

import contextlib
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cache

from bascule.calendars import servers
from bascule.calendars.account import AccountPass
from bascule.calendars.counts import Counts
from bascule.calendars.shares.carry import SharesDone, carry_shares
from bascule.calendars.sogo.preferences import set_preferences
from bascule.calendars.sogo.tool import bring_over
from bascule.hosts import directory
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger
from bascule.ledger.leases import LeaseHeld, lease, this_process
from bascule.text.logs import get_logger
from bascule.text.reason import reason

log = get_logger(__name__)


class CalendarsFailed(AccessError):
    """Raised when the collections of some accounts could not be carried; the text has a line for each.

    `done`: what the passes of the others did.
    """

    def __init__(self, words: str, done: dict[str, Counts]) -> None:
        self.done = done
        super().__init__(words)


def sync_accounts(
    access: Access,
    ledger: Ledger,
    accounts: Sequence[str],
    *,
    dry_run: bool = False,
    parallel: int = 4,
    owner: str | None = None,
) -> dict[str, Counts]:
    """Carry the collections of all these accounts, and then their shares; what each pass did, by account.

    `owner` is who holds the leases meanwhile: a task's next try may take over what its last one held. One account that
    fails holds back no other. Raises CalendarsFailed at the end. Then SOGo gets the preferences that the site file
    derives from the directory.
    """
    owner = owner or this_process("calendars")
    done: dict[str, Counts] = {}
    failed: dict[str, str] = {}
    permits = threading.Semaphore(parallel)
    with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="calendars") as pool:
        running = {
            pool.submit(sync_account, access, ledger, account, dry_run=dry_run, owner=owner, permits=permits): account
            for account in accounts
        }
        for ended in as_completed(running):
            account = running[ended]
            try:
                done[account] = ended.result()
            except (AccessError, LeaseHeld) as error:
                failed[account] = str(error)
                log.error("calendars failed", account=account, why=str(error))
            except Exception as error:  # a mistake of ours in one account must not hold back the others
                failed[account] = f"a mistake in Bascule ({reason(error)}): report it"
                log.exception("calendars failed", account=account)
            log.info("calendars: progress", done=len(done), failed=len(failed), of=len(accounts))
    log.info("calendars: all accounts", accounts=len(done), **vars(sum(done.values(), Counts())))
    failures = []
    if failed:
        lines = "\n".join(f"  {account}: {why}" for account, why in sorted(failed.items()))
        failures.append(f"the calendars of {len(failed)} of {len(accounts)} account(s) failed:\n{lines}")
    try:
        sync_shares(access, ledger, [name for name in accounts if name in done], dry_run=dry_run, owner=owner)
    except (AccessError, LeaseHeld) as error:
        failures.append(str(error))
    try:
        set_preferences(access, ledger, accounts, dry_run=dry_run)
    except AccessError as error:
        failures.append(str(error))
    if failures:
        raise CalendarsFailed("\n".join(failures), done)
    return done


def sync_shares(
    access: Access, ledger: Ledger, accounts: Sequence[str], *, dry_run: bool = False, owner: str | None = None
) -> SharesDone:
    """Share the collections of these accounts on new as on old. Raises AccessError, or LeaseHeld: one at a time."""

    @cache
    def people() -> dict[str, directory.Account]:
        return {account.name: account for account in directory.accounts(access)}

    with lease(ledger, "everybody", owner or this_process("calendars"), of="calendar shares"):
        return carry_shares(access, ledger, accounts, people, dry_run=dry_run)


def sync_account(
    access: Access,
    ledger: Ledger,
    account: str,
    *,
    dry_run: bool = False,
    owner: str | None = None,
    permits: threading.Semaphore | None = None,
) -> Counts:
    """One pass over all collections of one account, under its lease.

    `permits`: how many items all passes together may write at once. Raises AccessError when a server stays away or
    refuses, LeaseHeld when another run is at this account.
    """
    with lease(ledger, account, owner or this_process("calendars"), of="calendars"):
        return _sync_account(access, ledger, account, permits, dry_run=dry_run)


def _sync_account(
    access: Access, ledger: Ledger, account: str, permits: threading.Semaphore | None, *, dry_run: bool
) -> Counts:
    site = access.site.calendars
    if site.sogo_tool:
        with contextlib.closing(access.again()) as own:  # SSH sessions of this thread
            bring_over(own, ledger, account, dry_run=dry_run)
    with servers.opened_source(access, account) as old, servers.opened(access, site.new, account, permits) as new:
        return AccountPass(access, ledger, account, old, new, dry_run=dry_run).run()

"""Calendars and address books: carry them for many accounts, and settle what a person decided about one."""

from collections.abc import Sequence

from bascule.calendars import CalendarsFailed, Counts, sync_accounts
from bascule.ledger import moves
from bascule.ledger.calendars import by_hand_lines
from bascule.problems import store
from bascule.tasks.run import Run
from bascule.tasks.standing import take_standing
from bascule.text.logs import get_logger

log = get_logger(__name__)


def migrate(run: Run, accounts: Sequence[str]) -> list[str]:
    """Carry the calendars and address books of the accounts. Returns the accounts for which a person is asked.

    Those that moved together with their mail are left alone. Raises CalendarsFailed.
    """
    if run.site.moves and run.site.moves.calendars:
        accounts = moves.not_moved(run.ledger, accounts)
    carry(run, accounts)
    for line in by_hand_lines(run.ledger):
        log.warning(line)
    waiting = set(store.accounts_with_open(run.ledger, "calendar"))
    return [] if run.dry_run else [account for account in accounts if account in waiting]


def carry(run: Run, accounts: Sequence[str], parallel: int | None = None) -> dict[str, Counts]:
    """One pass, and one more over those about which the site file decides; what the last pass of each did.

    Raises CalendarsFailed at the end.
    """
    at_once, failed = parallel or run.site.calendars.parallel, ""
    try:
        done = sync_accounts(run.access, run.ledger, accounts, dry_run=run.dry_run, parallel=at_once, owner=run.owner)
    except CalendarsFailed as error:  # what the site file decides about the others doesn't wait for it
        done, failed = error.done, str(error)
    if decided := take_standing(run, "calendar", accounts):
        done |= sync_accounts(run.access, run.ledger, decided, dry_run=False, parallel=at_once, owner=run.owner)
    if failed:
        raise CalendarsFailed(failed, done)
    return done


def settle(run: Run, account: str) -> None:
    """Apply what was decided about one account's calendars and address books. Raises CalendarsFailed."""
    sync_accounts(run.access, run.ledger, [account], dry_run=run.dry_run, parallel=1, owner=run.owner)

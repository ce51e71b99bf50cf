"""Standing decisions of the site file, taken for many accounts of one room."""

from collections.abc import Sequence

from bascule.problems import standing
from bascule.problems.model import Room
from bascule.tasks.run import Run


def take_standing(run: Run, room: Room, accounts: Sequence[str]) -> list[str]:
    """Decide what the site file decides; return the accounts about which something was decided now."""
    if run.dry_run or not run.site.decisions:
        return []
    return [
        account
        for account in accounts
        if standing.take_standing(run.ledger, run.site.decisions, account, (room,), run.origin)
    ]

"""Standing decisions of the site file, taken for many accounts of one room."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bascule.operators.runtime import Run

if TYPE_CHECKING:
    from bascule.ledger.problems import Room


def take_standing(run: Run, room: "Room", accounts: Sequence[str]) -> list[str]:
    """Decide what the site file decides; return the accounts about which something was decided now."""
    from bascule.decisions import record

    if run.dry_run or not run.site.decisions:
        return []
    return [
        account
        for account in accounts
        if record.take_standing(run.ledger, run.site.decisions, account, (room,), run.origin)
    ]

"""What a person should know of a plan that a table makes: told, and obeyed."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

from bascule.ledger import Ledger, moves
from bascule.ledger.base import now
from bascule.ledger.waves import Planned
from bascule.moves import hours
from bascule.moves.plan_table import shown
from bascule.moves.ties import ties
from bascule.site import Site

Plan = Mapping[str, Planned]  # by account


def notes(ledger: Ledger, site: Site, before: Plan, after: Plan) -> list[str]:
    """A sentence for each thing that looks like a slip of the pen.

    Starts are looked at where they have changed, and only of accounts that have not moved.
    """
    moved = moves.moved(ledger)
    changed = [each for account, each in after.items() if account not in moved and each != before.get(account)]
    starts = {each.wave: each.starts_at for each in changed if each.starts_at}
    return [
        *_emptied(before, after),
        *_apart(ledger, after, before.keys() - after.keys() - moved),
        *_odd_starts(site, starts),
    ]


def _emptied(before: Plan, after: Plan) -> Iterator[str]:
    if before and not after:
        yield "the table has no line for an account, and with it nobody is planned any more: `plan propose` plans anew"


def _apart(ledger: Ledger, after: Plan, taken_out: Collection[str]) -> Iterator[str]:
    """Who shares something and does not move together; also with whom the table has no more."""
    where = dict.fromkeys(taken_out, "in the plan no more") | {
        account: f"wave {each.wave or '-'}" for account, each in after.items()
    }
    for one, other in sorted(ties(ledger, where)):
        if where[one] != where[other]:
            both = f"{one} ({where[one]}) and {other} ({where[other]})"
            yield f"{both} share folders or calendars, and do not move together"


def _odd_starts(site: Site, starts: Mapping[str, datetime]) -> Iterator[str]:
    """By wave: what has passed, and when nobody may begin."""
    zone, working = site.timezone, site.moves.hours if site.moves else None
    for wave, start in sorted(starts.items(), key=lambda each: (each[1], each[0])):
        begins = hours.opening(working, zone, start)
        if start <= now():
            yield (
                f"wave {wave} starts at {shown(start, zone)}, which has passed: its people move as soon as it is "
                "triggered, and get no letter before"
            )
        elif begins != start:
            yield (
                f"wave {wave} starts at {shown(start, zone)}, outside of the hours (`moves.hours` in the site file): "
                f"its people move from {shown(begins, zone)} on, and a letter before would tell them the former"
            )

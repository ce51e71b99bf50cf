"""Who shares folders or calendars with whom, as the ledger knows it after `prepare`."""

from collections.abc import Collection, Iterator

import sqlalchemy as sa

from bascule.ledger import Ledger, calendars
from bascule.ledger.carried import CarriedRow
from bascule.moves.groups import Tie


def ties(ledger: Ledger, accounts: Collection[str]) -> set[Tie]:
    """The pairs of these accounts of which one may use a folder, a calendar or an address book of the other.

    Rights of groups and of everybody tie nobody, nor do those of names that are no account.
    """
    by_name = {account.casefold(): account for account in accounts}
    found = set()
    for owner, who in [*_rights_of_folders(ledger), *_shares_of_calendars(ledger)]:
        one, other = by_name.get(owner.casefold()), by_name.get(who.casefold())
        if one and other and one != other:
            found.add((min(one, other), max(one, other)))
    return found


def _rights_of_folders(ledger: Ledger) -> Iterator[Tie]:
    """(owner, who may do something); a negative right (`-name`) is none."""
    query = sa.select(CarriedRow.account, CarriedRow.name).where(
        CarriedRow.what == "acl", CarriedRow.old.is_not(None), CarriedRow.old != ""
    )
    with ledger.reading() as session:
        yield from {(row.account, row.name) for row in session.execute(query)}


def _shares_of_calendars(ledger: Ledger) -> Iterator[Tie]:
    """Without whoever may see the calendars of everybody."""
    for row in calendars.shares(ledger):
        if row.old_href:
            yield row.account, row.who

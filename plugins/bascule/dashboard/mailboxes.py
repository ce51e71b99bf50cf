"""The mailboxes: how far all of them are, how fast, the slowest, one page of the list; and the page of one account."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from bascule.dashboard import today
from bascule.dashboard.links import Links
from bascule.dashboard.room import Room
from bascule.ledger import Ledger
from bascule.ledger.mailboxes import MailboxRow
from bascule.ledger.problems import ProblemRow
from bascule.views import progress
from bascule.views.account import account

ROWS_AT_ONCE = 50


@dataclass(frozen=True)
class Pages:
    """Where one page of a long list stands in the whole."""

    number: int
    total: int

    @classmethod
    def of(cls, wanted: int, total: int) -> "Pages":
        """The page of this number, or the last one when there are not so many."""
        return cls(min(wanted, max(1, -(-total // ROWS_AT_ONCE))), total)

    @property
    def last(self) -> int:
        return max(1, -(-self.total // ROWS_AT_ONCE))

    @property
    def first_row(self) -> int:
        return (self.number - 1) * ROWS_AT_ONCE

    @property
    def rows(self) -> slice:
        return slice(self.first_row, self.first_row + ROWS_AT_ONCE)


def values(room: Room, state: str, search: str, wanted: int) -> dict[str, Any]:
    """What the page of all mailboxes shows, narrowed to a state and to accounts with these letters in their names."""
    day, found = room.day(), room.mailboxes()
    copying = today.copies(day)
    since = copying.span.began if copying and copying.span else None
    how_far = today.progress_of(found, copying, day)
    shown: dict[str, str] = how_far["shown"]
    names = sorted(name for name in shown if state in ("", shown[name]) and search.casefold() in name.casefold())
    pages = Pages.of(wanted, len(names))
    return {
        "day": day,
        **how_far,
        "chosen": state,
        "search": search,
        "pages": pages,
        "rows": _rows(room.ledger, names[pages.rows]),
        "rate": room.fresh.get("rate", lambda: progress.rate(room.ledger)),
        "slowest": room.fresh.get(("slowest", since), lambda: progress.slowest(room.ledger, since) if since else []),
    }


@dataclass(frozen=True)
class Row:
    """One mailbox of the list, with how many of its problems are open."""

    mailbox: MailboxRow
    open: int


def _rows(ledger: Ledger, names: list[str]) -> list[Row]:
    mine = (ProblemRow.account == MailboxRow.account, ProblemRow.state == "open")
    asked = sa.select(sa.func.count()).where(*mine).scalar_subquery()
    query = sa.select(MailboxRow, asked).where(MailboxRow.account.in_(names)).order_by(MailboxRow.account)
    with ledger.reading() as session:
        found = {row.account: Row(row, count) for row, count in session.execute(query)}
    return [found[name] for name in names if name in found]


def of_account(room: Room, name: str) -> dict[str, Any]:
    """What the page of one account shows."""
    found, day = account(room.ledger, name), room.day()
    tasks = [each for each in day.attention if each.about == name]
    return {"account": found, "tasks": tasks, "links": Links()}

"""The ledger: the state of all mailboxes, filters, calendars, problems, and the journal."""

# Every module with tables is imported here, so that whoever opens the ledger makes all of them.
from bascule.ledger import (
    calendars,
    carried,
    filters,
    journal,
    leases,
    letters,
    mailboxes,
    moves,
    notices,
    passes,
    pictures,
    problems,
    rates,
    schema,
    task_log,
    waves,
)
from bascule.ledger.base import Ledger, LedgerAway, LedgerError

__all__ = [
    "Ledger",
    "LedgerAway",
    "LedgerError",
    "calendars",
    "carried",
    "filters",
    "journal",
    "leases",
    "letters",
    "mailboxes",
    "moves",
    "notices",
    "passes",
    "pictures",
    "problems",
    "rates",
    "schema",
    "task_log",
    "waves",
]

"""The ledger: the state of all mailboxes, filters, calendars, problems, and the journal.

Each module has some of the tables, and is imported by whoever uses them: making the classes of all of them costs as
much as a pass over an unchanged mailbox.
"""

from bascule.ledger.base import Ledger, LedgerAway, LedgerError

__all__ = ["Ledger", "LedgerAway", "LedgerError"]

"""Calendars and address books, from any CalDAV and CardDAV server to SOGo."""

from bascule.calendars.account import CalendarsFailed, sync_account, sync_accounts
from bascule.calendars.carry import Counts

__all__ = ["CalendarsFailed", "Counts", "sync_account", "sync_accounts"]

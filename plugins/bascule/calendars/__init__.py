"""Calendars and address books, from any CalDAV and CardDAV server to SOGo."""

from bascule.calendars.counts import Counts
from bascule.calendars.sync import CalendarsFailed, sync_account, sync_accounts

__all__ = ["CalendarsFailed", "Counts", "sync_account", "sync_accounts"]

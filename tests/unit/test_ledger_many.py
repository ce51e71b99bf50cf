"""More values in one act than a statement takes."""

import sqlite3

import pytest
import sqlalchemy as sa
from bascule.ledger import Ledger, calendars, mailboxes
from bascule.ledger.calendars import CalendarItemRow, CalendarRow
from bascule.ledger.mailboxes import FolderRow

MANY = range(1, 40_001)


@pytest.fixture(autouse=True)
def at_most(ledger: Ledger) -> None:
    """SQLite takes 32,766 values, unless it was built otherwise, as Debian's was."""

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)

    ledger.engine.dispose()
    if ledger.url.startswith("sqlite"):
        sa.event.listen(ledger.engine, "connect", limit)


def test_so_many_messages_of_a_folder_are_set_aside_no_more(ledger: Ledger) -> None:
    with ledger.session() as session:
        session.add(folder := FolderRow(account="anna", old_hash="hash", old_name="INBOX", new_name="INBOX"))
        session.flush()
        for uid in (MANY[0], MANY[-1], MANY[-1] + 1):
            mailboxes.set_aside(session, folder.id, uid, "refused")
    with ledger.session() as session:
        mailboxes.clear_set_aside(session, folder.id, [*MANY])
    with ledger.reading() as session:
        assert [*mailboxes.turned_aside(session, folder.id)] == [-(MANY[-1] + 1)]


def test_so_many_items_of_a_calendar_are_forgotten(ledger: Ledger) -> None:
    with ledger.session() as session:
        calendar = CalendarRow(account="anna", kind="calendar", old_href="/old/", new_href="/new/", properties={})
        calendars.save_calendar(session, calendar)
        rows = [
            CalendarItemRow(calendar_id=calendar.id, old_href=name, old_etag="1", state="carried") for name in "abc"
        ]
        calendars.save_items(session, rows)
        first, second, third = (row.id for row in rows)
    with ledger.session() as session:
        calendars.forget_items(session, [first, third, *(third + number for number in MANY)])
    assert [row.id for row in calendars.items(ledger, calendar.id).values()] == [second]

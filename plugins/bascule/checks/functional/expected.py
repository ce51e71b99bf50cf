"""What the probe has on the old servers, for tests that look for it on new: folders, a message, an event."""

import email
import email.policy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.message import EmailMessage

import icalendar
import imapclient

from bascule.calendars.servers import opened_source
from bascule.checks.functional.client import CouldNotTest
from bascule.hosts import imap
from bascule.hosts.access import Access
from bascule.mailbox.job import job_for
from bascule.text.reason import reason

LOOKED_AT = 60  # messages, the newest ones
OWN_NAMES = {rb"\sent", rb"\drafts", rb"\trash", rb"\junk", rb"\noselect", rb"\nonexistent"}  # webmails name these
WORD = re.compile(r"[^\W\d_]{6,}")


@dataclass(frozen=True)
class OldMessage:
    """A message that a person would know again: its subject, and a word of its text ("" when it has no plain text)."""

    message_id: str
    subject: str
    word: str


@dataclass(frozen=True)
class OldEvent:
    """An event by its title and first day."""

    title: str
    day: date


def folder_names(access: Access) -> list[str]:
    """The names of the probe's folders at the top level, without those to which a webmail gives names of its own."""
    with _imap(access) as client:
        found = client.list_folders()
        namespace = client.namespace().personal[0] if client.has_capability("NAMESPACE") else ("", "/")
    prefix, separator = namespace[0], namespace[1]
    names = {
        name.removeprefix(prefix).split(separator)[0]
        for flags, _, name in found
        if name.upper() != "INBOX" and not OWN_NAMES & {flag.lower() for flag in flags}
    }
    return sorted(name for name in names if name)


def newest_message(access: Access) -> OldMessage | None:
    """The newest message of the probe's INBOX that can be known again by subject, Message-Id and a word of its text."""
    with _imap(access) as client:
        client.select_folder("INBOX", readonly=True)
        received = client.fetch(client.search("UNDELETED"), ["INTERNALDATE"])
        newest = sorted(received, key=lambda uid: received[uid][b"INTERNALDATE"], reverse=True)[:LOOKED_AT]
        for uid in newest:
            data = client.fetch([uid], ["BODY.PEEK[]<0.100000>"])[uid]
            raw = next(value for key, value in data.items() if key.startswith(b"BODY["))
            if found := _known_again(email.message_from_bytes(raw, policy=email.policy.default)):
                return found
    return None


def event_near(access: Access, today: date) -> OldEvent | None:
    """The event of the probe's old calendars that is nearest to a day and happens once."""
    with opened_source(access, access.site.functional_tests.account) as old:
        found = [
            event
            for collection in old.session.collections(old.calendars, "calendar").collections
            if not collection.broken
            for content in old.session.contents(
                collection.href, "calendar", list(old.session.listing(collection.href).etags)
            )
            for event in _events(content.text)
        ]
    return min(found, key=lambda event: abs(event.day - today), default=None)


def _known_again(message: EmailMessage) -> OldMessage | None:
    subject, message_id = " ".join(str(message["Subject"] or "").split()), str(message["Message-ID"] or "").strip()
    if not message_id or not WORD.search(subject) or message.get_content_type() != "text/plain":
        return None
    try:
        words = WORD.findall(message.get_content())
    except (LookupError, ValueError):
        return None
    return OldMessage(message_id, subject, max(words, key=len)) if words else None


def _events(text: str) -> Iterator[OldEvent]:
    try:
        calendar = icalendar.Calendar.from_ical(text)
    except ValueError:
        return
    for event in calendar.walk("VEVENT"):
        title, start = " ".join(str(event.get("SUMMARY", "")).split()), event.get("DTSTART")
        if WORD.search(title) and start is not None and not {"RRULE", "RDATE", "RECURRENCE-ID"} & set(event):
            yield OldEvent(title, _day(start.dt))


def _day(start: date | datetime) -> date:
    if not isinstance(start, datetime):
        return start
    return start.astimezone(UTC).date() if start.tzinfo else start.date()


@contextmanager
def _imap(access: Access) -> Iterator[imapclient.IMAPClient]:
    """The probe's mailbox on old, logged in as the passes do. Raises CouldNotTest."""
    server = job_for(access, access.site.functional_tests.account).old
    try:
        with imap.opened(server.endpoint, server.login) as client:
            yield client
    except imap.ImapError as error:
        raise CouldNotTest(
            f"the probe's mailbox on old ({server.endpoint.host}) can't be read: {reason(error)}"
        ) from None

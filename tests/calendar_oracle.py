"""What calendars and cards say, read by libraries and not by Bascule: icalendar, recurring-ical-events, vobject."""

from collections import Counter
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import recurring_ical_events
import vobject

TEXTS = ("SUMMARY", "DESCRIPTION", "LOCATION", "STATUS", "URL", "GEO", "RRULE")
TIMES = ("DTSTART", "DTEND", "DUE")


def events(octets: bytes, zone: str = "Europe/Paris") -> Counter[tuple[str, ...]]:
    """Each event and task of a file: kind, UID, which of a series, times in UTC, texts. Local times are of `zone`."""
    found: Counter[tuple[str, ...]] = Counter()
    for calendar in icalendar.Calendar.from_ical(octets, multiple=True):
        for item in calendar.walk():
            if item.name in ("VEVENT", "VTODO"):
                mark = _moment(item.get("RECURRENCE-ID"), zone)
                times = tuple(_moment(item.get(name), zone) for name in TIMES)
                found[
                    item.name, str(item.get("UID", "")), mark, *times, *(_text(item.get(name)) for name in TEXTS)
                ] += 1
    return found


def occurrences(octets: bytes, until: datetime, zone: str = "Europe/Paris") -> set[tuple[str, str]]:
    """(UID, beginning in UTC) of everything that takes place before `until`."""
    whole = icalendar.Calendar()
    for calendar in icalendar.Calendar.from_ical(octets, multiple=True):
        for item in calendar.subcomponents:
            whole.add_component(item)
    found = recurring_ical_events.of(whole).between(datetime(2026, 1, 1), until)
    return {(str(each.get("UID")), _moment(each.get("DTSTART"), zone)) for each in found}


def cards(text: str) -> Counter[tuple[str, ...]]:
    """Each card: name, telephones, notes."""
    return Counter(_card(card) for card in vobject.readComponents(text, allowQP=True))


def _card(card: Any) -> tuple[str, ...]:
    name = card.n.value
    numbers = sorted(each.value for each in card.contents.get("tel", []))
    notes = sorted(each.value.replace("\r\n", "\n") for each in card.contents.get("note", []))
    return (card.fn.value, name.family, name.given, *numbers, *notes)


def _moment(value: Any, zone: str) -> str:
    moment = getattr(value, "dt", None)
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo(zone))
        return moment.astimezone(UTC).isoformat()
    return moment.isoformat() if isinstance(moment, date) else ""


def _text(value: Any) -> str:
    if isinstance(value, icalendar.vRecur | icalendar.vGeo):
        return value.to_ical().decode() if isinstance(value, icalendar.vRecur) else value.to_ical()
    return "" if value is None else str(value)

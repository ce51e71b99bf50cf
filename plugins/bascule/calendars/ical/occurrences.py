"""When a series takes place, expanded by the library recurring-ical-events: the same before and after, or not."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from bascule.calendars.ical.syntax import Component, Line, folded, written
from bascule.calendars.ical.zones import described, local_time, name_of, shown

DAYS = 5 * 366  # after the beginning of a series, and after the last date that it names, that are looked at
DAYS_OF_HOURS = 31  # the same where it takes place every hour
RULES = ("RRULE", "RDATE", "EXRULE", "EXDATE")
NAMES = (*RULES, "DTSTART", "DTEND", "DURATION", "RECURRENCE-ID")  # on which it depends
TOO_OFTEN = ("SECONDLY", "MINUTELY")  # to be counted out
SHOWN = 3

_zone = re.compile(r';TZID=("[^"]*"|[^;:]*)', re.I)


class NotExpandable(ValueError):
    """Raised when a series can't be expanded: its rule is none, or it takes place every second."""


def is_series(component: Component) -> bool:
    return any(component.value(name) for name in ("RRULE", "RDATE"))


def difference(ours: Component, theirs: Component, site_zone: str) -> str:
    """What takes place in only one of two calendars, in words; nothing when it is the same. Raises NotExpandable."""
    named = [moment for each in (ours, theirs) for moment in _named(each)]
    if not named:
        raise NotExpandable("it has no beginning")
    before, after = (_expanded(each, min(named), max(named), site_zone) for each in (ours, theirs))
    words = [
        f"it no longer takes place on {_shown(before - after)}" if before - after else "",
        f"it also takes place on {_shown(after - before)}" if after - before else "",
    ]
    return ", and ".join(filter(None, words))


def _named(calendar: Component) -> Iterator[datetime]:
    """The local times that a series names by themselves."""
    for item in calendar.items():
        for line in item.lines:
            if line.name in ("DTSTART", "EXDATE", "RDATE", "RECURRENCE-ID"):
                yield from filter(None, map(local_time, line.value.split(",")))


def _expanded(calendar: Component, first: datetime, last: datetime, site_zone: str) -> set[str]:
    """Beginnings and ends in UTC; whole days as they are. Local times are the site's."""
    import recurring_ical_events
    from icalendar import Calendar

    rules = " ".join(item.value("RRULE").upper() for item in calendar.items())
    if any(f"FREQ={often}" in rules for often in TOO_OFTEN):
        raise NotExpandable("it takes place too often to be counted out")
    end = first + timedelta(days=DAYS_OF_HOURS) if "FREQ=HOURLY" in rules else last + timedelta(days=DAYS)
    zone = ZoneInfo(site_zone) if site_zone else UTC
    try:
        read = Calendar.from_ical(folded(written(_with_zones_of_its_own(calendar))))
        query = recurring_ical_events.of(read, components=["VEVENT", "VTODO"])
        found = query.between(first - timedelta(days=2), end)
        return {" to ".join(_moment(each.get(name), zone) for name in ("DTSTART", "DTEND", "DUE")) for each in found}
    except Exception as error:  # the libraries raise what they meet in a broken rule: ValueError, KeyError, TypeError
        raise NotExpandable(str(error)) from None


def _with_zones_of_its_own(calendar: Component) -> Component:
    """The calendar with a name for each zone that only the same description has.

    The library keeps the first description of a name for all calendars of a process, and prefers its own for those of
    IANA.
    """
    names = {name: f"zone-{_digest(zone)}" for name, zone in described(calendar).items()}

    def renamed(part: Component) -> Component:
        return replace(part, lines=[_renamed(line, names) for line in part.lines], parts=[*map(renamed, part.parts)])

    def called(zone: Component) -> Component:
        name = names[name_of(zone)]
        lines = [replace(line, text=f"TZID:{name}") if line.name == "TZID" else line for line in zone.lines]
        return replace(zone, lines=lines)

    return replace(calendar, parts=[called(p) if p.name == "VTIMEZONE" else renamed(p) for p in calendar.parts])


def _renamed(line: Line, names: Mapping[str, str]) -> Line:
    name = names.get(line.parameter("TZID"))
    return replace(line, text=_zone.sub(f";TZID={name}", line.text, count=1)) if name else line


def _digest(zone: Component) -> str:
    return hashlib.sha256("\n".join(written(zone)).encode(errors="surrogatepass")).hexdigest()[:32]


def _moment(found: object, zone: tzinfo) -> str:
    value = getattr(found, "dt", None)
    if isinstance(value, datetime):
        return f"{shown((value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC))} UTC"
    if isinstance(value, date):
        return value.isoformat()
    return ""


def _shown(found: set[str]) -> str:
    first = ", ".join(each.split(" to ")[0] for each in sorted(found)[:SHOWN])
    return first + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")

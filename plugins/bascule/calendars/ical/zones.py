"""Time zones as items describe them (RFC 5545 section 3.6.5): when two descriptions give other times.

A description counts by its offsets at the times that the item names, since servers write their own for zones that they
know. Read by the library icalendar, not by the code that takes files apart.
"""

import zoneinfo
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache

from bascule.calendars.ical.syntax import Component, folded, written

NO_MEANING = {"LAST-MODIFIED", "TZNAME", "TZURL", "COMMENT", "TZUNTIL"}  # of a description, besides X-properties
MONTHS = 24  # of a series that are looked at


def used(component: Component) -> set[str]:
    """The zones that the properties of an item name."""
    return {zone for line in component.all_lines() if (zone := line.parameter("TZID"))}


def described(calendar: Component) -> dict[str, Component]:
    """The descriptions in a calendar, by the names that properties use for them."""
    found: dict[str, Component] = {}
    for part in calendar.parts:
        if part.name == "VTIMEZONE":
            found.setdefault(name_of(part), part)
    return found


def name_of(zone: Component) -> str:
    """What a description is called: a TEXT, which has escapes that parameters don't have."""
    return zone.value("TZID").replace("\\,", ",").replace("\\;", ";").replace("\\\\", "\\").strip().replace('"', "")


def difference(name: str, ours: Component | None, theirs: Component | None, items: list[Component]) -> str:
    """What differs between two descriptions of a zone at the times of these items; nothing when they mean the same."""
    if _same_lines(ours, theirs):
        return ""
    one, other = zone(name, ours), zone(name, theirs, known_to_all=ours is not None)
    if one is None:  # nobody can say which time was meant
        return ""
    if other is None:
        return f"the description of the time zone {name} is lost, so nobody knows which time is meant"
    for moment in _moments(name, items):
        with suppress(OverflowError, ValueError):
            before, after = one.utcoffset(moment), other.utcoffset(moment)
            if before != after:
                return f"{name} is {_shown(after)} on {shown(moment)}, and was {_shown(before)}"
    return ""


def zone(name: str, description: Component | None, *, known_to_all: bool = False) -> tzinfo | None:
    """The zone by its description, else by its name where that is a common one.

    `known_to_all`: the name must be one that every server knows (IANA's), and not Outlook's.
    """
    if description is not None:
        return _by_description(folded(written(description)))
    return _by_name(name, known_to_all=known_to_all)


@lru_cache(maxsize=256)
def _by_description(text: str) -> tzinfo | None:
    from icalendar import Timezone

    try:
        found = Timezone.from_ical(text)
        return found.to_tz(lookup_tzid=False) if isinstance(found, Timezone) else None
    except Exception:  # the library raises what it meets in a broken description: IndexError, AttributeError, ...
        return None


@lru_cache(maxsize=256)
def _by_name(name: str, *, known_to_all: bool) -> tzinfo | None:
    from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

    parts = name.strip("/").split("/")
    others = ["/".join(parts[-2:]), "/".join(parts[-3:]), WINDOWS_TO_OLSON.get(name, "")]
    for key in [name, *([] if known_to_all else others)]:
        with suppress(zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            return zoneinfo.ZoneInfo(key)
    return None


def _same_lines(ours: Component | None, theirs: Component | None) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return _said(ours) == _said(theirs)


def _said(zone: Component) -> list[tuple[str, list[tuple[str, str]]]]:
    return sorted(
        (part.name, sorted((line.name, _rule(line.value)) for line in part.lines if _counts(line.name)))
        for part in zone.parts
    )


def _rule(value: str) -> str:
    return ";".join(sorted(set(value.upper().split(";")) - {"INTERVAL=1", "WKST=MO", ""}))


def _counts(name: str) -> bool:
    return name not in NO_MEANING and not name.startswith("X-")


def _moments(name: str, items: list[Component]) -> Iterator[datetime]:
    """The local times of this zone that the items name, and for series those of two years."""
    for line in (line for item in items for line in item.all_lines()):
        if line.parameter("TZID") == name:
            for value in line.value.split(","):
                if (moment := local_time(value)) is not None:
                    yield moment
    for item in items:
        start = local_time(item.value("DTSTART"))
        if start is not None and (item.value("RRULE") or item.value("RDATE")):
            yield from (start + timedelta(days=30 * month) for month in range(1, MONTHS + 1))


def local_time(value: str) -> datetime | None:
    """A date and time as it is written, without its zone; None when it is none."""
    for form in ("%Y%m%dT%H%M%S", "%Y%m%d"):
        with suppress(ValueError):
            return datetime.strptime(value.strip().upper().removesuffix("Z"), form)
    return None


def shown(moment: datetime) -> str:
    """A local time as people write it, the year in four digits."""
    return moment.replace(tzinfo=None).isoformat(" ", "minutes")


def _shown(offset: timedelta | None) -> str:
    minutes = int((offset or timedelta()).total_seconds() // 60)
    return f"UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"

"""When accounts may begin to move: working hours on the clocks of the site."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from bascule.site import HoursPart

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def opening(hours: HoursPart | None, zone: str, at: datetime) -> datetime:
    """The first instant from `at` on at which moves may begin; `at` itself within the hours, or where there are none.

    Instants as the ledger keeps them: UTC, without a mark.
    """
    if hours is None:
        return at
    here = at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
    if _is_working_day(hours, here.date()) and hours.begin <= here.time() < hours.end:
        return at
    return next(start for start in openings(hours, zone, here.date()) if start > at)


def openings(hours: HoursPart, zone: str, first: date) -> Iterator[datetime]:
    """When the working days from this one on begin."""
    day = first
    while True:
        if _is_working_day(hours, day):
            yield _utc(datetime.combine(day, hours.begin), zone)
        day += timedelta(days=1)


def instant(here: datetime, zone: str) -> datetime:
    """The ledger's instant of a time on the site's clocks; of one that comes twice, the first.

    Raises ValueError for a time that no clock shows, when it is set forward.
    """
    found = _utc(here, zone)
    if on_clocks(found, zone) != here:
        raise ValueError(f"the clocks are set forward then: there is no {here:%H:%M} on {here:%Y-%m-%d}")
    return found


def on_clocks(at: datetime, zone: str) -> datetime:
    """The ledger's instant on the site's clocks."""
    return at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def _utc(here: datetime, zone: str) -> datetime:
    return here.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None)


def _is_working_day(hours: HoursPart, day: date) -> bool:
    return DAYS[day.weekday()] in hours.days

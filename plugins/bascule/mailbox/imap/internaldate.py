"""INTERNALDATE (RFC 9051 section 9, date-time): read to an instant, written by ourselves, always in UTC.

Servers also give dates of other forms (as RFC 5322 has them, capitals, `GMT`, two digits for the year).
"""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

_DATE = re.compile(rb"([ 0-3]?\d)-([A-Z][a-z]{2})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")
_ISO = re.compile(r"\d{4}-\d\d-\d\dT")
_COLON = re.compile(r"(?<=[+-]\d\d):(?=\d\d\b)")  # inside a zone
_ZONE = re.compile(r"\d:\d\d ?([A-Za-z+-][^\s(]*)")  # behind the time
_OFFSET = re.compile(r"[+-]\d{4}")
_FIRST_YEAR = 1000  # a year of three digits is one that a program counts from 1900
_LONGEST = 60  # octets of a date of whatever form
_WIDEST = 14 * 3600  # seconds that a time zone is away from UTC at most
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_NUMBERS = {month: number for number, month in enumerate(_MONTHS, 1)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

UNKNOWN = -(2**62)  # the server gave no date, or none that can be read
_WRITABLE = range(-62_135_596_800, 253_402_300_800)  # of the years 1 to 9999
SAFE = range(0, 2**31 - 1)  # outside of these seconds, servers are known to store another date

_days: dict[bytes, int] = {}


def parse(text: bytes) -> int:
    """Seconds since 1970, or UNKNOWN (also of an instant in a year that can't be written with four digits)."""
    found = _DATE.fullmatch(text)
    if not found:
        return _parse_otherwise(text)
    day = _day(text[: found.end(3)], found)
    if day is None:
        return _parse_otherwise(text)
    hour, minute, second, offset = int(found[4]), int(found[5]), int(found[6]), _offset(found)
    if hour > 23 or minute > 59 or second > 60 or offset > _WIDEST:
        return UNKNOWN
    seconds = hour * 3600 + minute * 60 + second
    instant = day + seconds + (offset if found[7] == b"-" else -offset)
    return instant if instant in _WRITABLE else UNKNOWN


def guess(text: bytes) -> int:
    """As `parse`, but a zone that nobody knows is taken for UTC: only for what a person is told of."""
    instant = parse(text)
    return instant if instant != UNKNOWN else _parse_otherwise(text, any_zone=True)


def _offset(found: re.Match[bytes]) -> int:
    return (int(found[8]) * 60 + int(found[9])) * 60


def _parse_otherwise(text: bytes, *, any_zone: bool = False) -> int:
    """A date as RFC 5322 or ISO 8601 writes it, or one between; a time without a zone is taken for UTC."""
    written = " ".join(text.decode("ascii", "replace").split())
    if len(text) > _LONGEST or '"' in written:
        return UNKNOWN
    try:
        at = datetime.fromisoformat(written) if _ISO.match(written) else _of_mail(written, any_zone)
        if abs((at.utcoffset() or timedelta()).total_seconds()) > _WIDEST:
            return UNKNOWN
        instant = int(((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):
        return UNKNOWN
    return instant if instant in _WRITABLE else UNKNOWN


def _of_mail(written: str, any_zone: bool) -> datetime:
    """A date more or less as RFC 5322 writes it. Raises ValueError, also of a zone or a year that nobody knows."""
    written = _COLON.sub("", written)
    at = parsedate_to_datetime(written.replace("-", " ", 2))
    zone = _ZONE.search(written)
    is_known = zone is None or _OFFSET.fullmatch(zone[1]) or (zone[1].isalpha() and at.tzinfo)
    if at.year < _FIRST_YEAR or not (is_known or any_zone):
        raise ValueError(written)
    return at


def _day(text: bytes, found: re.Match[bytes]) -> int | None:
    if text not in _days:
        try:
            midnight = datetime(int(found[3]), _NUMBERS[found[2]], int(found[1]), tzinfo=UTC)
        except (KeyError, ValueError):
            return None
        if len(_days) > 50_000:
            _days.clear()
        _days[text] = int((midnight - _EPOCH).total_seconds())
    return _days[text]


def write(seconds: int) -> bytes:
    """The instant as a quoted date-time for APPEND."""
    days, rest = divmod(seconds, 86_400)
    minutes, second = divmod(rest, 60)
    return b'"%s %02d:%02d:%02d +0000"' % (_written_day(days), minutes // 60, minutes % 60, second)


@lru_cache(maxsize=10_000)
def _written_day(days: int) -> bytes:
    at = _EPOCH + timedelta(days=days)
    return b"%02d-%s-%04d" % (at.day, _MONTHS[at.month - 1], at.year)


def show(seconds: int) -> str:
    """The instant for people."""
    return "unknown" if seconds == UNKNOWN else (_EPOCH + timedelta(seconds=seconds)).isoformat()

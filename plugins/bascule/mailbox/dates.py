"""INTERNALDATE (RFC 9051 section 9, date-time): read to an instant, written by ourselves, always in UTC."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_DATE = re.compile(rb"([ 0-3]?\d)-([A-Z][a-z]{2})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_NUMBERS = {month: number for number, month in enumerate(_MONTHS, 1)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

UNKNOWN = -(2**62)  # the server gave no date, or none that can be read
SAFE = range(0, 2**31 - 1)  # outside of these seconds, servers are known to store another date

_days: dict[bytes, int] = {}


def parse(text: bytes) -> int:
    """Seconds since 1970, or UNKNOWN."""
    found = _DATE.fullmatch(text)
    if not found:
        return UNKNOWN
    day = _day(text[: found.end(3)], found)
    if day is None:
        return UNKNOWN
    offset = (int(found[8]) * 60 + int(found[9])) * 60
    seconds = int(found[4]) * 3600 + int(found[5]) * 60 + int(found[6])
    return day + seconds + (offset if found[7] == b"-" else -offset)


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

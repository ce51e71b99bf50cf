"""What an item means, apart from how it is written, and in what two of them differ.

One side is what the old server or the file says, read from its own octets; the other is what the new server gives.
Folding, order, quoting and escapes don't count, nor what servers write anew by themselves.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bascule.calendars.ical import occurrences, zones
from bascule.calendars.ical.syntax import CARDS, Component, Line, Unreadable, parse
from bascule.calendars.ical.values import FIELD, FIELDS, ITEM, LISTS, Context, Value, split, unescaped, values

# What servers write anew by themselves and no person ever sees.
WRITTEN_BY_SERVERS = {"PRODID", "CALSCALE", "METHOD", "REV", "DTSTAMP", "LAST-MODIFIED", "CREATED", "X-WR-CALNAME"}
# A card of version 4 is a card of version 3 to SOGo, its lines stay; so are those of 2.1 when they are read rightly.
EMPTY_BY_DEFAULT = {
    *(("VERSION", version) for version in ("1.0", "2.0", "2.1", "3.0", "4.0")),
    ("CLASS", "PUBLIC"),
    ("TRANSP", "OPAQUE"),
    ("SEQUENCE", "0"),
    ("PRIORITY", "0"),
}
ALARMS_OF_VERSION_1 = ("AALARM", "DALARM", "MALARM", "PALARM")
UNITS = ("VALARM", "VCARD")  # components inside an item that are compared as a whole
SHOWN = 80  # characters of a value

What = Literal["item", "property", "zone", "occurrence", "unreadable"]


@dataclass(frozen=True)
class Difference:
    """One thing in which two items differ. `name`: the property, the component or the zone; `words`: for people."""

    what: What
    name: str
    words: str

    @property
    def cause(self) -> str:
        """What differences of many items have in common."""
        return f"{self.what} {self.name}"


class _Placed(NamedTuple):
    """One value and where it stands: the component, and for one of a series which."""

    where: str
    value: Value


def uid(item: str | Component) -> str:
    """The UID of the object, or nothing."""
    found = _parsed(item)
    return next((unescaped(part.value("UID")).strip() for part in found.items()), "") if found else ""


def title(item: str | Component) -> str:
    """How a person would call the item: summary or name, and when it begins."""
    found = _parsed(item)
    first = next(iter(found.items()), None) if found else None
    if first is None:
        return ""
    name = next((name for key in ("SUMMARY", "FN", "N") if (name := _named(first, key))), "")
    start = next((line for line in first.lines if line.name in ("DTSTART", "DUE")), None)
    return f"{name} ({_day(start)})" if start else name


def _named(item: Component, key: str) -> str:
    """What this property says, in one line."""
    line = next((line for line in item.lines if line.name == key), None)
    meant = [each.meant for each in values(line, Context(item.name, item.value("VERSION").strip()))] if line else []
    return re.sub(f"[{FIELD}{ITEM}]+", " ", " ".join(meant)).strip()


def _day(line: Line) -> str:
    """When something begins, as people write it."""
    moment = zones.local_time(line.value)
    if moment is None:
        return line.value
    if "T" not in line.value.upper():
        return moment.date().isoformat()
    zone = "UTC" if line.value.strip().upper().endswith("Z") else line.parameter("TZID")
    return f"{zones.shown(moment)} {zone}".strip()


def same(one: str | Component, other: str | Component, zone: str = "") -> bool:
    """Whether both mean the same."""
    return one == other or not differences(one, other, zone)


def differences(ours: str | Component, theirs: str | Component, zone: str = "") -> list[Difference]:
    """What the second item lacks, adds or says otherwise; nothing when both mean the same to people in `zone`.

    Local times without a zone are times of `zone` to them (SOGo writes them so). A zone's own description may be added.
    """
    try:
        one, other = (parse(each) if isinstance(each, str) else each for each in (ours, theirs))
    except Unreadable as error:
        if isinstance(ours, str) and isinstance(theirs, str) and ours.strip() == theirs.strip():
            return []
        return [Difference("unreadable", "", f"one of the two can't be read ({error})")]
    found = list(_of_properties(one, other, zone))
    if one.name == "VCALENDAR":
        found = [*_of_zones(one, other), *_of_occurrences(one, other, zone, found), *_of_versions(one, other)]
    return found


def _parsed(item: str | Component) -> Component | None:
    if isinstance(item, Component):
        return item
    try:
        return parse(item)
    except Unreadable:
        return None


def _of_properties(ours: Component, theirs: Component, zone: str) -> Iterator[Difference]:
    marks = _Marks(ours, theirs)
    first, second = Counter(_placed(ours, "", "", marks)), Counter(_placed(theirs, "", "", marks))
    lost, added = _without_meant(first - second, second - first, zone, _floating(ours))
    others = _by_place(added)
    for placed in lost:
        same_place = others.get((placed.where, placed.value.name))
        yield _difference(placed, same_place.pop() if same_place else None)
    for placed in (each for left in others.values() for each in left):
        yield _difference(None, placed)


class _Marks:
    """Which event of a series is meant: by its day, in whatever form it is written, where no two are on one day."""

    def __init__(self, *calendars: Component) -> None:
        found = [[item.value("RECURRENCE-ID") for item in each.items()] for each in calendars]
        self._digits = 8 if all(len({each[:8] for each in some}) == len(set(some)) for some in found) else 99

    def of(self, item: Component) -> str:
        mark = item.value("RECURRENCE-ID").strip()[: self._digits]
        return f"[{mark}]" if mark else ""


def _without_meant(
    lost: Counter[_Placed], added: Counter[_Placed], zone: str, floating: bool
) -> tuple[list[_Placed], list[_Placed]]:
    """What is left of both when that is taken away which is only written otherwise."""
    others, left = _by_place(added.elements()), []
    for placed in lost.elements():
        candidates = others.get((placed.where, placed.value.name), [])
        meant = next((each for each in candidates if _means(placed.value, each.value, zone, floating)), None)
        if meant is None:
            left.append(placed)
        else:
            candidates.remove(meant)
    return left, [each for candidates in others.values() for each in candidates]


def _by_place(placed: Iterable[_Placed]) -> dict[tuple[str, str], list[_Placed]]:
    found: dict[tuple[str, str], list[_Placed]] = {}
    for each in placed:
        found.setdefault((each.where, each.value.name), []).append(each)
    return found


def _difference(placed: _Placed | None, other: _Placed | None) -> Difference:
    either = placed or other
    assert either is not None
    name, where = either.value.name, _place(either.where)
    what: What = "property"
    if name == "BEGIN":
        what, name = "item", either.value.meant
    called = name or "a line that is no property,"
    if placed is None:
        return Difference(what, name, f"{called} {_shown(either.value)} is there besides{where}")
    if other is None:
        return Difference(what, name, f"{called} {_shown(placed.value)} is lost{where}")
    return Difference(what, name, f"{called} is {_shown(other.value)}, and was {_shown(placed.value)}{where}")


def _place(where: str) -> str:
    """Where in an item it is, if that is not the item itself."""
    mark = re.search(r"\[(.*?)\]", where)
    return f" (in the one of {mark[1]})" if mark else ""


def _of_zones(ours: Component, theirs: Component) -> Iterator[Difference]:
    before, after = zones.described(ours), zones.described(theirs)
    for name in sorted(zones.used(ours)):
        if words := zones.difference(name, before.get(name), after.get(name), ours.items()):
            yield Difference("zone", name, words)


def _of_versions(ours: Component, theirs: Component) -> Iterator[Difference]:
    """What only vCalendar 1.0 can say: it stays as it is written, and means nothing once the calendar is called 2.0."""
    if ours.value("VERSION").strip() != "1.0" or theirs.value("VERSION").strip() == "1.0":
        return
    for line in (line for item in ours.items() for line in item.lines):
        is_rule = line.name in ("RRULE", "EXRULE") and "FREQ=" not in line.value.upper()
        is_list = line.name in LISTS and len(split(line.value, ";")) > 1
        if line.value.strip("; ") and (is_rule or is_list or line.name in ALARMS_OF_VERSION_1):
            words = f"{line.name} “{line.value[:SHOWN]}” is in the form of version 1.0, which nothing today understands"
            yield Difference("property", line.name, words)


def _of_occurrences(ours: Component, theirs: Component, zone: str, found: Sequence[Difference]) -> Iterator[Difference]:
    """The differences that are left when it is known on which days a series takes place.

    Dates that are added or left out may be written in many ways; a rule that is another one stays a difference, since
    nobody looks at all of its days.
    """
    written = [_when(ours), _when(theirs)]
    if written[0] == written[1] or not any(map(occurrences.is_series, ours.items())):
        yield from found
        return
    try:
        words = occurrences.difference(ours, theirs, zone)
    except occurrences.NotExpandable:
        yield from found
        return
    yield from (each for each in found if each.name not in ("EXDATE", "RDATE", "RECURRENCE-ID"))
    if words:
        yield Difference("occurrence", "", words)


def _when(calendar: Component) -> Counter[_Placed]:
    names = occurrences.NAMES
    return Counter(placed for placed in _placed(calendar, "", "", _Marks()) if placed.value.name in names)


def _placed(part: Component, where: str, version: str, marks: _Marks) -> Iterator[_Placed]:
    """Every value with where it stands."""
    here = f"{where}/{part.name}{marks.of(part)}"
    yield _Placed(here, Value("BEGIN", (), part.name))
    context = Context(part.name, part.value("VERSION").strip() if part.name in CARDS else version)
    for line in part.lines:
        if line.name not in WRITTEN_BY_SERVERS:
            yield from (_Placed(here, value) for value in _counting(part, line, context))
    for inner in part.parts:
        if inner.name in UNITS:
            yield _Placed(here, Value(inner.name, (), _as_one(inner)))
        elif inner.name != "VTIMEZONE":
            yield from _placed(inner, here, context.version, marks)


def _counting(part: Component, line: Line, context: Context) -> Iterator[Value]:
    if line.name == "AGENT" and (card := _parsed(unescaped(line.value))):  # a card as a text, in version 3.0
        yield Value(card.name, (), _as_one(card))
        return
    for value in values(line, context):
        if value.meant and not _is_default(part, value):
            yield value


def _as_one(part: Component) -> str:
    """A component inside an item as one value: all that it says, in order."""
    found = _placed(part, "", "", _Marks())
    return "; ".join(sorted(f"{each.where} {each.value.name} {_shown(each.value, most=10_000)}" for each in found))


def _is_default(part: Component, value: Value) -> bool:
    """Whether the property says what would hold without it."""
    if (value.name, value.meant) in EMPTY_BY_DEFAULT:
        return True
    # RFC 5545 section 3.6.1: an event of a day without an end ends with its day
    return (value.name, value.meant) == ("DURATION", "1 d 0 s") and "T" not in part.value("DTSTART")


def _floating(calendar: Component) -> bool:
    """Whether its times are local ones without a zone, wherever a date of a series was moved to."""
    items = [item for item in calendar.items() if not item.value("RECURRENCE-ID")] or [*calendar.items()]
    starts = [line for item in items for line in item.lines if line.name in ("DTSTART", "DUE")]
    return bool(starts) and all(_is_local(line.value) and not line.parameter("TZID") for line in starts)


def _is_local(value: str) -> bool:
    return "T" in value.upper() and not value.strip().upper().endswith("Z")


def _means(one: Value, other: Value, zone: str, floating: bool) -> bool:
    """Whether the second is only what servers make of the first: a local time in the site's zone, a name for nobody,
    a day that is called one."""
    if one.meant != other.meant or not set(one.parameters) <= set(other.parameters):
        return False
    more = set(other.parameters) - set(one.parameters)
    if more == {("TZID", zone)}:
        return floating and _is_local(one.meant)
    if more == {("VALUE", "DATE")}:  # what has no time is a date, also where nothing says so
        return re.fullmatch(r"[0-9]{8}", one.meant) is not None
    address = one.meant.lower().removeprefix("mailto:")
    return one.name in ("ORGANIZER", "ATTENDEE") and {(key, text.lower()) for key, text in more} == {("CN", address)}


def _shown(value: Value, most: int = SHOWN) -> str:
    parameters = "".join(f";{key}={each}" for key, each in value.parameters)
    meant = value.meant
    if value.name in FIELDS:
        meant = re.sub("[;,]", r"\\\g<0>", meant).replace(FIELD, ";").replace(ITEM, ",")
    return f"“{meant[:most]}{'…' if len(meant) > most else ''}”" + (f" ({parameters[1:]})" if parameters else "")

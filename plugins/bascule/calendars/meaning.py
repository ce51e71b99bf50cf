"""What an item means, apart from how it is written: folding, order, quoting and escapes don't count.

iCalendar (RFC 5545) and vCard (RFC 2426, RFC 6350) share their lines (`NAME;PARAM=VALUE:value`) and their nesting.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

# What servers write anew by themselves and no person ever sees.
WRITTEN_BY_SERVERS = {"PRODID", "CALSCALE", "METHOD", "REV", "DTSTAMP", "LAST-MODIFIED", "CREATED", "X-WR-CALNAME"}
DEFAULT_PARAMETERS = {("VALUE", "DATE-TIME"), ("VALUE", "TEXT"), ("VALUE", "DURATION"), ("CHARSET", "UTF-8")}
SCHEDULING_PARAMETERS = {"RSVP", "SCHEDULE-STATUS"}  # a server's own notes on who was asked and who should answer
CARDS = ("VCARD", "VLIST")  # the second is SOGo's own group of addresses
STRUCTURED = {"N", "ADR", "ORG"}  # empty fields at their ends mean nothing
# A card of version 4 is a card of version 3 to SOGo, its lines stay; one of version 2.1 is another matter (encodings).
EMPTY_BY_DEFAULT = {
    ("VERSION", "3.0"),
    ("VERSION", "4.0"),
    ("CLASS", "PUBLIC"),
    ("TRANSP", "OPAQUE"),
    ("SEQUENCE", "0"),
    ("PRIORITY", "0"),
}

_line = re.compile(r'^(?P<head>(?:[^":]|"[^"]*")*):(?P<value>.*)$', re.S)
_parameter = re.compile(r';([^=;:]+)(?:=((?:"[^"]*"|[^";])*))?')


class Unreadable(ValueError):
    """Raised when a text is no iCalendar and no vCard object."""


@dataclass(frozen=True)
class Line:
    """One property: its name, its parameters in order, its value without escapes."""

    name: str
    parameters: tuple[tuple[str, str], ...]
    value: str


@dataclass
class Part:
    """One component with its properties and the components inside."""

    name: str
    lines: list[Line] = field(default_factory=list)
    parts: list["Part"] = field(default_factory=list)

    def value(self, name: str) -> str:
        """The value of the first property of this name, or nothing."""
        return next((line.value for line in self.lines if line.name == name), "")

    def items(self) -> list["Part"]:
        """The events, tasks or journals of a calendar; a card itself."""
        if self.name in CARDS:
            return [self]
        return [part for part in self.parts if part.name != "VTIMEZONE"]


def parse(text: str) -> Part:
    """Read one object. Raises Unreadable."""
    root = Part("")
    open_parts = [root]
    for raw in unfolded(text):
        line = _read(raw)
        if line.name == "BEGIN":
            open_parts.append(Part(line.value.strip().upper()))
        elif line.name == "END":
            if len(open_parts) < 2 or open_parts[-1].name != line.value.strip().upper():
                raise Unreadable(f"END:{line.value} closes nothing that is open")
            part = open_parts.pop()
            open_parts[-1].parts.append(part)
        else:
            open_parts[-1].lines.append(line)
    if len(open_parts) > 1:
        raise Unreadable(f"BEGIN:{open_parts[-1].name} is never closed")
    if len(root.parts) != 1 or root.parts[0].name not in ("VCALENDAR", *CARDS):
        raise Unreadable("the text is not one calendar object and not one card")
    return root.parts[0]


def unfolded(text: str) -> Iterator[str]:
    """The lines of the text, with those put together again that were folded (RFC 5545 section 3.1)."""
    joined = re.sub(r"\r\n[ \t]|\n[ \t]|\r[ \t]", "", text)
    return (line for line in re.split(r"\r\n|\n|\r", joined) if line.strip())


def uid(text: str) -> str:
    """The UID of the object, or nothing."""
    try:
        return next((item.value("UID") for item in parse(text).items()), "")
    except Unreadable:
        return ""


def title(text: str) -> str:
    """How a person would call the item: summary or name, and when it begins."""
    try:
        items = parse(text).items()
    except Unreadable:
        return ""
    if not items:
        return ""
    name = items[0].value("SUMMARY") or items[0].value("FN")
    return f"{name} ({items[0].value('DTSTART')})" if items[0].value("DTSTART") else name


def same(one: str, other: str, zone: str = "") -> bool:
    """Whether both texts mean the same."""
    return one == other or not differences(one, other, zone)


def differences(one: str, other: str, zone: str = "", most: int = 6) -> list[str]:
    """What the second text lacks or adds, as sentences; nothing when both mean the same to people in `zone`.

    Local times without a zone are times of `zone` to them (SOGo writes them so). A zone's own description may be added.
    """
    try:
        ours, theirs = parse(one), parse(other)
        described = {part.value("TZID") for part in ours.parts if part.name == "VTIMEZONE"}
        theirs.parts = [part for part in theirs.parts if part.name != "VTIMEZONE" or part.value("TZID") in described]
        first, second = Counter(_flat(ours, zone)), Counter(_flat(theirs, zone))
    except Unreadable as error:
        return [] if one.strip() == other.strip() else [f"can't be compared: {error}"]
    found = [f"lost {_shown(line)}" for line in (first - second)] + [f"has {_shown(line)}" for line in second - first]
    return found[:most] + ([f"and {len(found) - most} more"] if len(found) > most else [])


def _flat(part: Part, zone: str, path: str = "") -> Iterator[tuple[str, Line]]:
    """Every property with where it stands. Which component of several of one kind is told by its recurrence."""
    here = f"{path}/{part.name}"
    if part.name in ("VEVENT", "VTODO", "VJOURNAL"):
        here += f"[{part.value('RECURRENCE-ID')}]"
    yield here, Line("BEGIN", (), part.name)
    for line in part.lines:
        if line.name not in WRITTEN_BY_SERVERS and line.value and not _is_default(part, line):
            yield here, Line(line.name, tuple(pair for pair in line.parameters if pair != ("TZID", zone)), line.value)
    for inner in part.parts:
        yield from _flat(inner, zone, here)


def _is_default(part: Part, line: Line) -> bool:
    """Whether the property says what would hold without it."""
    if (line.name, line.value) in EMPTY_BY_DEFAULT:
        return True
    # RFC 5545 section 3.6.1: an event of a day without an end ends with its day
    return (line.name, line.value) == ("DURATION", "P1D") and "T" not in part.value("DTSTART")


def _read(raw: str) -> Line:
    match = _line.match(raw)
    if match is None:
        raise Unreadable(f"{raw[:60]!r} is no property")
    head, value = match["head"], match["value"]
    name = head.split(";", 1)[0].strip().upper()
    found = []
    for key, given in _parameter.findall(head[len(head.split(";", 1)[0]) :]):
        for each in (given or "").split(","):
            pair = (key.strip().upper(), each.strip().strip('"'))
            if not given:  # vCard 2.1: `TEL;HOME:`
                pair = ("TYPE", key.strip())
            if pair[0] in ("TYPE", "VALUE", "ENCODING", "PARTSTAT", "ROLE", "CUTYPE", "RSVP"):
                pair = (pair[0], pair[1].upper())
            if pair not in DEFAULT_PARAMETERS and pair[0] not in SCHEDULING_PARAMETERS:
                found.append(pair)
    if name in ("RRULE", "EXRULE"):  # the order of a rule's parts means nothing (RFC 5545 section 3.3.10)
        value = ";".join(sorted(value.upper().strip(";").split(";")))
    if name in STRUCTURED:
        value = value.rstrip(";")
    return Line(name, tuple(sorted(found)), plain(value))


def plain(value: str) -> str:
    """A value without its escapes."""
    return re.sub(r"\\([nN,;:\\\"])", lambda found: "\n" if found[1] in "nN" else found[1], value).rstrip(" ")


def _shown(found: tuple[str, Line]) -> str:
    path, line = found
    parameters = "".join(f";{key}={value}" for key, value in line.parameters)
    return f"{line.name}{parameters}:{line.value[:80]} ({path.strip('/')})"

"""What the value of a property means, apart from how it is written.

Only TEXT has escapes (RFC 5545 section 3.3.11, RFC 6350 section 3.4): a backslash in an address of the web, in a
place on earth or in a telephone's address is a backslash. What would hold without a word counts as said.
"""

import quopri
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from bascule.calendars.ical.syntax import CARDS, Component, Line

# Value types that are no TEXT by default (RFC 5545 section 8.3.2 and RFC 7986; RFC 6350 section 10.3.1).
OF_CALENDARS = {
    "URI": ("ATTACH", "TZURL", "URL", "SOURCE", "CONFERENCE", "IMAGE"),
    "CAL-ADDRESS": ("ATTENDEE", "ORGANIZER", "CALENDAR-ADDRESS"),
    "DATE-TIME": (
        *("DTSTART", "DTEND", "DUE", "COMPLETED", "RECURRENCE-ID", "EXDATE", "RDATE", "ACKNOWLEDGED", "TZUNTIL"),
        *("CREATED", "DTSTAMP", "LAST-MODIFIED"),
    ),
    "PERIOD": ("FREEBUSY",),
    "DURATION": ("DURATION", "TRIGGER", "REFRESH-INTERVAL"),
    "RECUR": ("RRULE", "EXRULE"),
    "FLOAT": ("GEO",),
    "INTEGER": ("PRIORITY", "PERCENT-COMPLETE", "SEQUENCE", "REPEAT"),
    "UTC-OFFSET": ("TZOFFSETFROM", "TZOFFSETTO"),
}
OF_CARDS = {
    "URI": ("URL", "SOURCE", "IMPP", "MEMBER", "RELATED", "CALURI", "CALADRURI", "FBURL"),
    "BINARY": ("PHOTO", "LOGO", "SOUND", "KEY"),
    "FLOAT": ("GEO",),
    "DATE": ("BDAY", "ANNIVERSARY", "REV"),
    "UTC-OFFSET": ("TZ",),
    "LANGUAGE-TAG": ("LANG",),
    "MAP": ("CLIENTPIDMAP",),
}
LISTS = {"CATEGORIES", "RESOURCES", "NICKNAME"}  # of TEXT
TIMES = {"EXDATE", "RDATE", "FREEBUSY"}  # lists of something else
FIELDS = {"N", "ADR", "ORG", "GENDER", "REQUEST-STATUS"}  # TEXT in fields, which `;` separates
TOLD = 6  # lines that are told
FIELD, ITEM = "\x1f", "\x1e"  # behind a field and behind a value of its list, in what such a TEXT means
# What holds where the parameter is missing (RFC 5545 section 3.2, RFC 2426 section 3).
BY_DEFAULT = {
    ("PARTSTAT", "NEEDS-ACTION"),
    ("ROLE", "REQ-PARTICIPANT"),
    ("CUTYPE", "INDIVIDUAL"),
    ("RELATED", "START"),
    ("RELTYPE", "PARENT"),
    ("FBTYPE", "BUSY"),
    ("ENCODING", "8BIT"),
    ("ENCODING", "7BIT"),
}
TYPES_BY_DEFAULT = {("EMAIL", "INTERNET"), ("TEL", "VOICE")}
SERVERS_NOTES = {"RSVP", "SCHEDULE-STATUS"}  # who was asked, and who should answer
WITHOUT_CASE = {"TYPE", "VALUE", "ENCODING", "PARTSTAT", "ROLE", "CUTYPE", "RELATED", "RELTYPE", "FBTYPE"}
OLD_ENCODINGS = {"QUOTED-PRINTABLE", "BASE64", "8BIT", "7BIT"}  # vCard 2.1 writes them without `ENCODING=`

_types = {
    of_cards: {name: kind for kind, names in types.items() for name in names}
    for of_cards, types in ((False, OF_CALENDARS), (True, OF_CARDS))
}
_escape = re.compile(r'\\([nN,;:"\\])')
_part = re.compile(r"(?:[^\\]|\\.)", re.S)
_duration = re.compile(r"([+-]?)P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?\Z")


class Value(NamedTuple):
    """One value of a property: its name, the parameters that say something, and what is meant."""

    name: str
    parameters: tuple[tuple[str, str], ...]
    meant: str

    def parameter(self, name: str) -> str:
        return next((value for key, value in self.parameters if key == name), "")


@dataclass(frozen=True)
class Context:
    """Where a property stands: its component, and the version of the card."""

    component: str
    version: str = ""

    @property
    def is_card(self) -> bool:
        return self.component in CARDS


def values(line: Line, context: Context) -> Iterator[Value]:
    """What a property means; several values where it is a list, since `A,B` is one of them and then the other."""
    written = [(key, value) for key, each in line.parameters for value in each]
    named = {key or ("ENCODING" if value in OLD_ENCODINGS else "TYPE"): value.upper() for key, value in written}
    kind = kind_of(line.name, named.get("VALUE", ""), context)
    group = [("GROUP", line.group.upper())] if context.is_card and line.group else []
    parameters = tuple(sorted({*_meant(line.name, written, kind, context), *group}))
    for value in _values(line, named, kind, context):
        yield Value(line.name, parameters, value)


def kind_of(name: str, said: str, context: Context) -> str:
    """The type of a property's value: as its parameter VALUE says, else its own."""
    if said:
        return said
    if context.is_card and name == "UID" and context.version == "4.0":
        return "URI"
    return _types[context.is_card].get(name, "TEXT")


def unescaped(value: str) -> str:
    """A TEXT without its escapes."""
    return _escape.sub(lambda found: "\n" if found[1] in "nN" else found[1], value)


def split(value: str, separator: str) -> list[str]:
    """The parts of a TEXT between separators that have no backslash before them; escapes stay."""
    parts = [""]
    for piece in _part.findall(value):
        if piece == separator:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def unquoted(value: str, charset: str) -> str:
    """A value in quoted-printable (vCard 2.1) as text; what is in no known character set is read as Windows-1252."""
    return _unquoted(value, charset)[0].replace("\r\n", "\n").replace("\r", "\n")


def is_guessed(line: Line) -> bool:
    """Whether its character set is a guess, also that of its quoted-printable."""
    words = {each.upper() for _, some in line.parameters for each in some}
    return line.guessed or ("QUOTED-PRINTABLE" in words and _unquoted(line.value, line.parameter("CHARSET"))[1])


def guesses(item: Component) -> str:
    """The lines of an item whose character set is a guess, as people find them; nothing where there are none."""
    return told([(line.number, line.text) for line in item.all_lines() if is_guessed(line)])


def told(lines: Sequence[tuple[int, str]]) -> str:
    """Some lines by their numbers."""
    shown = [f"line {number}: {text[:80]}" for number, text in lines[:TOLD]]
    return "; ".join([*shown, f"and {len(lines) - TOLD} more"] if len(lines) > TOLD else shown)


def _unquoted(value: str, charset: str) -> tuple[str, bool]:
    octets = quopri.decodestring(value.encode(errors="surrogatepass"))
    for each in filter(None, (charset, "utf-8")):
        with suppress(ValueError, LookupError):
            return octets.decode(each), False
    return octets.decode("cp1252", errors="replace"), True


def _meant(name: str, written: list[tuple[str, str]], kind: str, context: Context) -> Iterator[tuple[str, str]]:
    default = _types[context.is_card].get(name, "TEXT")
    for said, value in written:
        key = said or ("ENCODING" if value.upper() in OLD_ENCODINGS else "TYPE")
        pair = (key, value.upper() if key in WITHOUT_CASE else value)
        if (
            not value
            or pair in BY_DEFAULT
            or key in SERVERS_NOTES
            or key == "CHARSET"
            or (key == "VALUE" and pair[1] == default)
        ):
            continue
        if key == "TYPE" and (name, pair[1]) in TYPES_BY_DEFAULT:
            continue
        if key == "ENCODING":
            if pair[1] == "QUOTED-PRINTABLE":
                continue
            pair = ("ENCODING", "BASE64" if pair[1] == "B" else pair[1])
        yield pair


def _values(line: Line, named: Mapping[str, str], kind: str, context: Context) -> Iterator[str]:
    encoding = named.get("ENCODING", "")
    value = unquoted(line.value, named.get("CHARSET", "")) if encoding == "QUOTED-PRINTABLE" else line.value
    if encoding in ("B", "BASE64"):
        yield re.sub(r"\s", "", value)
    elif line.name in TIMES:
        yield from (each.strip().upper() for each in value.split(","))
    elif kind == "RECUR":
        yield _rule(value)
    elif kind == "DURATION":
        yield _time(value.strip().upper())
    elif kind in ("DATE-TIME", "DATE"):
        yield value.strip().upper()
    elif kind != "TEXT":
        yield value.strip(" ")
    elif line.name in LISTS:
        yield from (unescaped(each).strip(" ") for each in split(value, ","))
    elif line.name in FIELDS:
        yield _fields(value, lists=context.version != "2.1")
    else:
        yield unescaped(value).rstrip(" ")


def _fields(value: str, *, lists: bool) -> str:
    """Fields between `;` as text that shows their borders; empty ones at the end mean nothing.

    In each one `,` separates the values of a list, but in vCard 2.1, which has none.
    """
    fields = (split(field, ",") if lists else [field] for field in split(value, ";"))
    return FIELD.join(ITEM.join(unescaped(each).strip(" ") for each in field) for field in fields).rstrip(FIELD + ITEM)


def _rule(value: str) -> str:
    """A rule of recurrence: the order of its parts and lists, and what holds by default, mean nothing."""
    parts = {part.strip() for part in value.upper().split(";") if part.strip()} - {"INTERVAL=1", "WKST=MO"}
    named = (part.partition("=") for part in parts)
    return ";".join(sorted(name + equals + ",".join(sorted(rest.split(","))) for name, equals, rest in named))


def _time(value: str) -> str:
    """A duration in days and seconds (RFC 5545 section 3.3.6); a time that is none stays as it is."""
    match = _duration.match(value)
    if not match or not any(match.groups()[1:]):
        return value
    weeks, days, hours, minutes, seconds = (int(each or 0) for each in match.groups()[1:])
    return f"{match[1].replace('+', '')}{7 * weeks + days} d {3600 * hours + 60 * minutes + seconds} s"

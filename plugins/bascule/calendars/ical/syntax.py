"""Lines and components of iCalendar (RFC 5545 section 3.1) and vCard (RFC 6350 section 3.2), read from octets.

The reader takes what programs really write, and says of each component whether it is whole. Nothing is thrown away: a
line that is no property keeps its text under an empty name.
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain

CARDS = ("VCARD", "VLIST")  # the second is SOGo's own group of addresses
OBJECTS = ("VCALENDAR", *CARDS)
# What stands directly in a calendar: the beginning of one means that another one was never closed.
ITEMS = ("VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VTIMEZONE", "VAVAILABILITY", "VPOLL")
DEPTH = 8  # of components inside one another; no program writes more than four
WIDTH = 75  # octets of a folded line

_END_OF_LINE = re.compile(rb"\r{0,2}\n|\r")  # `\r\r\n` comes from programs that write CRLF as text
_QUOTED_PRINTABLE = re.compile(rb"[A-Za-z0-9.-]+;[^:]*\bQUOTED-PRINTABLE\b", re.I)
_BASE64 = re.compile(rb"[A-Za-z0-9.-]+;[^:]*\b(?:BASE64|ENCODING=B)\b", re.I)
_LETTERS = re.compile(rb"[A-Za-z0-9+/=]+\s*\Z")  # of base64
_CHARSET = re.compile(rb'^[^:]*;CHARSET="?([A-Za-z0-9_-]+)', re.I)
_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_WIDE = dict(zip(_MARKS, ("utf-32", "utf-32", "utf-16", "utf-16"), strict=True))

_plain = re.compile(r"([A-Za-z0-9-]+):(.*)\Z", re.S)
_head = re.compile(r'((?:[^":;]|"[^"]*")+)((?:;(?:[^":;]|"[^"]*")*)*):(.*)\Z', re.S)
_group = re.compile(r"([A-Za-z0-9-]+)\.[A-Za-z0-9-]+[;:]")
_begins_like_one = re.compile(r"([A-Za-z0-9.-]+)[;:].*:", re.S)
_charset = re.compile(r';CHARSET=(?:"[^"]*"|[^";])*', re.I)
_parameter = re.compile(r';([^=;":]+)(?:(=)((?:"[^"]*"|[^";])*))?')
_one = re.compile(r'(?:"[^"]*"|[^",])+')


class Unreadable(ValueError):
    """Raised when a text is not one whole iCalendar object or card; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One property as it is written: its value with all escapes, its parameters without quotes.

    `name` is in capitals and without a group before it (`item1.`); it is empty for a line that is no property.
    `number` is the line of the file where it begins; `guessed` means that its octets were not in the character set
    that they should be in, and were read as Windows-1252.
    """

    name: str
    parameters: tuple[tuple[str, tuple[str, ...]], ...]
    value: str
    text: str
    number: int = 0
    guessed: bool = False

    @property
    def group(self) -> str:
        """In a card: what ties properties together, such as a telephone and its label (RFC 6350 section 3.3)."""
        found = _group.match(self.text)
        return found[1] if found else ""

    def parameter(self, name: str) -> str:
        """The first value of this parameter, or nothing."""
        return next((values[0] for key, values in self.parameters if key == name and values), "")


@dataclass(slots=True)
class Component:
    """One component: its properties in order, and the components inside. `broken` says why it isn't whole.

    `origin` and `number`: the file and the line where it begins.
    """

    name: str
    number: int = 0
    lines: list[Line] = field(default_factory=list)
    parts: list["Component"] = field(default_factory=list)
    broken: str = ""
    origin: str = ""

    def value(self, name: str) -> str:
        """The value of the first property of this name as it is written, or nothing."""
        return next((line.value for line in self.lines if line.name == name), "")

    def items(self) -> list["Component"]:
        """The events, tasks or journals of a calendar; a card itself."""
        if self.name in CARDS:
            return [self]
        return [part for part in self.parts if part.name != "VTIMEZONE"]

    def all_lines(self) -> Iterator[Line]:
        """Its properties and those of everything inside."""
        return chain(self.lines, chain.from_iterable(part.all_lines() for part in self.parts))


@dataclass(frozen=True)
class Damage:
    """What is wrong with a file beside its components, and the line where that shows."""

    number: int
    words: str


@dataclass
class Document:
    """What a file holds: calendars and cards, and what keeps it from being whole."""

    objects: list[Component] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)


def parse(text: str | bytes) -> Component:
    """The one object that a text is. Raises Unreadable."""
    octets = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    document = read(octets, is_text=isinstance(text, str))
    if document.damages:
        raise Unreadable(f"line {document.damages[0].number}: {document.damages[0].words}")
    if len(document.objects) != 1:
        raise Unreadable(f"it holds {len(document.objects) or 'no'} calendars and cards, where one is wanted")
    [found] = document.objects
    if broken := next((part for part in (found, *found.parts) if part.broken), None):
        raise Unreadable(broken.broken)
    return found


def read(octets: bytes, origin: str = "", *, is_text: bool = False) -> Document:
    """Everything that a file holds, whole or not. `origin`: what the file is called.

    `is_text`: a server has told the character set of the whole, so that none is looked for in the lines.
    """
    reader = _Reader(origin)
    for number, raw in _unfolded(narrow(octets)):
        reader.take(_line(raw, number, is_text=is_text))
    return reader.end()


class _Reader:
    """Puts lines together into components; what is never closed costs no more than itself."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._document = Document()
        self._open: list[Component] = []
        self._before = ""  # the property that came last

    def take(self, line: Line) -> None:
        if line.name == "BEGIN":
            self._begin(line.value.strip().upper(), line.number)
        elif line.name == "END":
            self._end(line.value.strip().upper(), line.number)
        elif self._open:
            self._open[-1].lines.append(line)
        else:
            self._damage(line.number, f"{line.text[:40]!r} stands in no calendar and no card")
        self._before = line.name

    def end(self) -> Document:
        for component in self._open[:2]:
            self._damage(component.number, f"BEGIN:{component.name} is never closed{_called(component)}")
        self._close(0)
        if not self._document.objects and not self._document.damages:
            self._damage(1, "it holds no BEGIN:VCALENDAR and no BEGIN:VCARD")
        return self._document

    def _begin(self, name: str, number: int) -> None:
        keep = self._to_keep(name)
        if keep < len(self._open):
            left = self._open[keep]
            called = _called(left)
            self._damage(left.number, f"BEGIN:{left.name} is not closed before BEGIN:{name} in line {number}{called}")
            self._close(keep)
        if not self._open and name not in OBJECTS:
            self._damage(number, f"BEGIN:{name} stands in no calendar and no card")
        if len(self._open) == DEPTH:
            self._damage(number, f"BEGIN:{name} is inside too many other components")
            self._close(1)
        self._open.append(Component(name, number, origin=self._origin))

    def _to_keep(self, name: str) -> int:
        """How many of the open components may have this one inside."""
        if name == "VCARD" and self._before == "AGENT":  # vCard 2.1 section 2.4.3: a card inside a card
            return len(self._open)
        if name in OBJECTS:
            return 0
        return min(len(self._open), 1) if name in ITEMS else len(self._open)

    def _end(self, name: str, number: int) -> None:
        names = [component.name for component in self._open]
        if name not in names:
            words = f"END:{name} closes nothing that is open"
            if len(self._open) > 1:
                self._open[1].broken = self._open[1].broken or f"line {number}: {words}"
            self._damage(number, words)
            return
        keep = len(names) - 1 - names[::-1].index(name)
        if keep < len(names) - 1:
            self._damage(number, f"END:{name} comes before BEGIN:{names[-1]} is closed")
            self._close(keep + 1)
        self._attach(self._open.pop())

    def _close(self, keep: int) -> None:
        """Close what was never closed by itself."""
        while len(self._open) > keep:
            component = self._open.pop()
            component.broken = component.broken or f"line {component.number}: BEGIN:{component.name} is never closed"
            if len(self._open) > 1:  # whatever it stands in misses a part
                self._open[-1].broken = component.broken
            self._attach(component)

    def _attach(self, component: Component) -> None:
        if self._open:
            self._open[-1].parts.append(component)
            if component.broken and len(self._open) > 1:
                self._open[-1].broken = self._open[-1].broken or component.broken
        elif component.name in OBJECTS:
            self._document.objects.append(component)

    def _damage(self, number: int, words: str) -> None:
        self._document.damages.append(Damage(number, words))


def _called(component: Component) -> str:
    """How people find a component that is broken."""
    name = component.value("SUMMARY") or component.value("FN") or component.value("UID")
    return f" (“{name[:60]}”)" if name else ""


def narrow(octets: bytes) -> bytes:
    """The octets in UTF-8 where the file is in UTF-16 or UTF-32; else as they are."""
    coding = next((coding for mark, coding in _WIDE.items() if octets.startswith(mark)), None)
    if coding is None and octets[:4].count(0) == 2:  # two octets for each letter, without a mark
        coding = "utf-16-le" if octets[1:2] == b"\0" else "utf-16-be"
    if coding is None:
        return octets
    try:  # a half of a letter stays one, so that its line is a guess
        return octets.decode(coding, errors="surrogatepass").encode(errors="surrogatepass")
    except UnicodeDecodeError:
        return octets.decode(coding, errors="replace").encode()


def _unfolded(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, line) of each line, put together from the octets, since a fold may stand inside a character.

    Soft line breaks of quoted-printable, and lines of base64 without a space before them, are vCard 2.1's own folds.
    """
    begun, parts, quoted, packed = 0, [b""], False, False
    for number, raw in enumerate(_END_OF_LINE.split(octets), 1):
        if quoted and parts[-1].rstrip().endswith(b"=") and not raw.upper().startswith((b"BEGIN:", b"END:")):
            parts[-1] = parts[-1].rstrip()[:-1]
            parts.append(raw)
        elif begun and raw[:1] in (b" ", b"\t"):
            parts.append(raw[1:])
        elif not raw.strip():
            continue
        elif packed and _LETTERS.match(raw):
            parts.append(raw.strip())
        else:
            if begun:
                yield begun, b"".join(parts)
            begun, parts = number, [raw.removeprefix(codecs.BOM_UTF8)]
        if len(parts) <= 2:  # what says so may stand behind the first fold
            head = b"".join(parts)
            quoted, packed = _QUOTED_PRINTABLE.match(head) is not None, _BASE64.match(head) is not None
    if begun:
        yield begun, b"".join(parts)


def _line(raw: bytes, number: int, *, is_text: bool) -> Line:
    text, guessed = decoded(raw, is_text=is_text)
    plain = _plain.match(text)
    if plain:
        return Line(plain[1].upper(), (), plain[2], text, number, guessed)
    head = _head.match(text)
    if head:
        parameters = head[2]
        if "CHARSET" in parameters.upper() and not _QUOTED_PRINTABLE.match(raw):  # its octets are read: it is text now
            parameters = _charset.sub("", parameters)
            text = f"{head[1]}{parameters}:{head[3]}"
        return Line(_name(head[1]), tuple(_parameters(parameters)), head[3], text, number, guessed)
    # A quotation mark that is never closed, or no property at all: what stands behind the name stays as it is.
    name = _begins_like_one.match(text)
    return Line(_name(name[1]) if name else "", (), text[name.end(1) :] if name else text, text, number, guessed)


def _name(written: str) -> str:
    return written.rsplit(".", 1)[-1].strip().upper()


def _parameters(written: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for key, equals, values in _parameter.findall(written):
        if equals:
            yield key.strip().upper(), tuple(each.strip().replace('"', "") for each in _one.findall(values)) or ("",)
        else:  # vCard 2.1: `TEL;HOME:`
            yield "", (key.strip().upper(),)


def decoded(raw: bytes, *, is_text: bool = False) -> tuple[str, bool]:
    """(text, whether its character set is a guess) of one line; vCard 2.1 names the character set in the line."""
    if raw.isascii():
        return raw.decode("ascii"), False
    named = None if is_text else _CHARSET.match(raw)
    for charset in (named[1].decode(), "utf-8") if named else ("utf-8",):
        with suppress(ValueError, LookupError):
            text = raw.decode(charset)
            text.encode()  # Python's own `charsets` give half characters
            return text, False
    with suppress(ValueError):  # CESU-8, as Java writes it: a letter above U+FFFF as two halves
        return raw.decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16"), False
    return raw.decode("cp1252", errors="replace"), True


def folded(lines: Sequence[str]) -> str:
    """Lines put together as RFC 5545 section 3.1 wants them: CRLF, and at most 75 octets each."""
    return "".join(f"{_folded(line)}\r\n" for line in lines)


def _folded(line: str) -> str:
    if line.isascii():
        return "\r\n ".join([line[:WIDTH], *(line[at : at + WIDTH - 1] for at in range(WIDTH, len(line), WIDTH - 1))])
    pieces, size = [""], 0
    for character in line:
        size += len(character.encode(errors="surrogatepass"))
        if size > WIDTH:
            pieces.append(" ")
            size = 1 + len(character.encode(errors="surrogatepass"))
        pieces[-1] += character
    return "\r\n".join(pieces)


def written(component: Component) -> list[str]:
    """The lines of a component with everything inside."""
    inner = chain.from_iterable(written(part) for part in component.parts)
    return [f"BEGIN:{component.name}", *(line.text for line in component.lines), *inner, f"END:{component.name}"]

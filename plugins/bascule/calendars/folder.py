"""A folder of .ics and .vcf files as the old server: what other programs export, one folder for each account.

A file is a collection of its name; a folder inside is a collection of all its files, or two, when it has both calendars
and address books. A file may hold many items: it is
taken apart by UID, an event together with its exceptions and the time zones that they name.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bascule.access import AccessError
from bascule.calendars import meaning, xml
from bascule.calendars.dav import Collection, Content, Kind, decoded, normal

ENDINGS: dict[Kind, str] = {"calendar": ".ics", "addressbook": ".vcf"}
SECOND = ".vcf"  # behind the name of a folder that has calendars too
# What programs write into a file about the calendar as a whole: Apple's and Google's words.
ABOUT = {
    "X-WR-CALNAME": xml.NAME,
    "X-WR-CALDESC": f"{{{xml.CAL}}}calendar-description",
    "X-APPLE-CALENDAR-COLOR": xml.COLOUR,
}
Lines = list[str]


class Folder:
    """Read what a server's session reads, from files. Raises AccessError when the folder can't be read."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read_last: tuple[str, dict[str, Content]] = ("", {})

    def close(self) -> None:
        """Nothing is held open."""

    def collections(self, home: str, kind: Kind) -> list[Collection]:
        """One for each file of this kind, and for each folder that has some."""
        try:
            entries = sorted(self._root.iterdir())
        except FileNotFoundError:
            if self._root.parent.is_dir():  # of this account nothing was exported
                return []
            raise AccessError(f"there is no folder {self._root.parent}: mend `calendars.old.url`") from None
        except OSError as error:
            raise AccessError(f"the folder {self._root} can't be read: {error.strerror}") from None
        return [self._collection(home, entry, kind) for entry in entries if _files(entry, kind)]

    def etags(self, collection: str) -> dict[str, str]:
        """href -> a hash of each item's text."""
        return {href: item.etag for href, item in self._items(collection).items()}

    def contents(self, collection: str, kind: Kind, hrefs: Sequence[str]) -> Iterator[Content]:
        """The items of these hrefs."""
        items = self._items(collection)
        return (items[href] for href in hrefs if href in items)

    def _collection(self, home: str, entry: Path, kind: Kind) -> Collection:
        texts = [_read(path) for path in _files(entry, kind)]
        head = meaning.unfolded(texts[0].split("BEGIN:V", maxsplit=2)[1]) if "BEGIN:V" in texts[0] else ()
        lines = (line.partition(":") for line in head)
        said = {ABOUT[name]: meaning.plain(value) for name, _, value in lines if name in ABOUT and value}
        is_second = kind == "addressbook" and entry.is_dir() and _files(entry, "calendar")
        return Collection(
            href=normal(f"{home.rstrip('/')}/{entry.name}{SECOND if is_second else ''}/"),
            kind=kind,
            properties={xml.NAME: entry.stem} | said,
            tag=_digest("\0".join(texts)),
        )

    def _items(self, collection: str) -> dict[str, Content]:
        """The items of one collection; those of the last one are kept, since they are read a batch at a time."""
        if self._read_last[0] != collection:
            self._read_last = (collection, self._read_items(collection))
        return self._read_last[1]

    def _read_items(self, collection: str) -> dict[str, Content]:
        entry, kind = self._place(collection)
        found: dict[str, Content] = {}
        for path in _files(entry, kind):
            for uid, text in split(_read(path)):
                href = _free(found, f"{collection}{_digest(uid)[:32]}", ENDINGS[kind])
                found[href] = Content(href, _digest(text), text)
        return found

    def _place(self, collection: str) -> tuple[Path, Kind]:
        """Where the collection's files are, and of which kind they are. Raises AccessError when they are gone."""
        entries = {normal(f"/{path.name}"): path for path in self._root.iterdir()}
        name = "/" + _last(collection)
        entry = entries.get(name)
        if entry is None and (entry := entries.get(name.removesuffix(SECOND))) is not None:
            return entry, "addressbook"
        if entry is None:
            raise AccessError(f"{collection} has gone from {self._root}")
        return entry, "calendar" if _files(entry, "calendar") else "addressbook"


def split(text: str) -> Iterator[tuple[str, str]]:
    """(UID, text) of each item in a file; the lines of an item stay as they are."""
    head, components = _components(text)
    zones = {_property(lines, "TZID"): lines for name, lines in components if name == "VTIMEZONE"}
    by_uid: dict[str, list[Lines]] = {}
    for name, lines in components:
        if name == "VCARD":
            yield _property(lines, "UID") or _digest("".join(lines)), "".join(lines)
        elif name != "VTIMEZONE":
            uid = _property(lines, "UID") or _digest("".join(lines))
            exception = _property(lines, "RECURRENCE-ID")
            if uid in by_uid and not exception:  # a second event of the same UID is another item, and a problem later
                uid = f"{uid}\0{_digest(''.join(lines))}"
            by_uid.setdefault(uid, []).append(lines)
    for uid, parts in by_uid.items():
        inner = "".join("".join(lines) for lines in parts)
        named = set(re.findall(r'TZID="?([^":;\r\n]+)', inner))
        used = "".join("".join(lines) for zone, lines in zones.items() if zone in named)
        yield uid, f"{''.join(head)}{used}{inner}END:VCALENDAR\r\n"


def _components(text: str) -> tuple[Lines, list[tuple[str, Lines]]]:
    """(lines of the calendar itself, its components with their names); cards are components too."""
    head: Lines = []
    found: list[tuple[str, Lines]] = []
    stack: list[str] = []
    for line in re.findall(r"[^\n]*\n|[^\n]+$", text):
        word, _, name = line.strip().partition(":")
        if word.upper() == "BEGIN":
            nested = any(entry != "VCALENDAR" for entry in stack)
            stack.append(name.upper())
            if not nested and name.upper() != "VCALENDAR":
                found.append((name.upper(), []))
        inside = any(entry != "VCALENDAR" for entry in stack)
        (found[-1][1] if inside else head).append(line)
        if word.upper() == "END" and stack:
            stack.pop()
    return [text_line for text_line in head if not text_line.upper().startswith("END:")], found


def _property(lines: Lines, name: str) -> str:
    """The value of the first property of this name in the component itself."""
    text = re.sub(r"\r?\n[ \t]", "", "".join(lines))
    match = re.search(rf"(?mi)^{name}(?:;[^:\r\n]*)?:(.*?)\r?$", text)
    return match[1].strip() if match else ""


def _files(entry: Path, kind: Kind) -> list[Path]:
    paths = sorted(entry.iterdir()) if entry.is_dir() else [entry]
    return [path for path in paths if path.suffix.lower() == ENDINGS[kind] and path.is_file()]


def _read(path: Path) -> str:
    try:
        return decoded(path.read_bytes(), str(path))
    except OSError as error:
        raise AccessError(f"the file {path} can't be read: {error.strerror}") from None


def _free(taken: dict[str, Content], stem: str, ending: str) -> str:
    href, number = stem + ending, 1
    while href in taken:
        number += 1
        href = f"{stem}-{number}{ending}"
    return href


def _last(href: str) -> str:
    return href.rstrip("/").rsplit("/", 1)[-1]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()

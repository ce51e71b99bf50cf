"""A folder of .ics and .vcf files as the old server: what other programs export, one folder for each account.

A file is a collection of its name; a folder inside is a collection of all its files. A file may hold many items: it is
taken apart by UID, an event together with its exceptions and the time zones that they name.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bascule.access import AccessError
from bascule.calendars import xml
from bascule.calendars.dav import Collection, Content, Kind, decoded, normal

ENDINGS = {"calendar": ".ics", "addressbook": ".vcf"}
Lines = list[str]


class Folder:
    """Read what a server's session reads, from files. Raises AccessError when the folder can't be read."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def close(self) -> None:
        """Nothing is held open."""

    def collections(self, home: str, kind: Kind) -> list[Collection]:
        """One for each file of this kind, and for each folder that has some."""
        try:
            entries = sorted(self._root.iterdir())
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
        named = re.search(r"(?m)^X-WR-CALNAME:(.+?)\r?$", texts[0])
        return Collection(
            href=normal(f"{home.rstrip('/')}/{entry.name}/"),
            kind=kind,
            properties={xml.NAME: named[1] if named else entry.stem},
            tag=_digest("\0".join(texts)),
        )

    def _items(self, collection: str) -> dict[str, Content]:
        entry = next(path for path in self._root.iterdir() if normal(f"/{path.name}") == "/" + _last(collection))
        found: dict[str, Content] = {}
        for kind, ending in ENDINGS.items():
            for path in _files(entry, kind):  # type: ignore[arg-type]
                for uid, text in split(_read(path)):
                    href = _free(found, f"{collection}{_digest(uid)[:32]}", ending)
                    found[href] = Content(href, _digest(text), text)
        return found


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
    return decoded(path.read_bytes(), str(path))


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

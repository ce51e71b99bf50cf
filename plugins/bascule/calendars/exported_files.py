"""A folder of .ics and .vcf files as the old server: what other programs export, one folder for each account.

A file is a collection of its name; a folder inside is a collection of all its files, or two, when it has both calendars
and address books. A file is taken apart into items (exported_items). Whatever gives nothing is named.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from bascule.calendars.dav import limits, xml
from bascule.calendars.dav.model import Collection, Content, Found, Items, Kind, Listing, NotCarried
from bascule.calendars.exported_items import Item, digest, items
from bascule.calendars.ical.syntax import CARDS, Component, folded, narrow, read, written
from bascule.calendars.ical.values import unescaped
from bascule.hosts.connections import AccessError

ENDINGS: Mapping[Kind, tuple[str, ...]] = {
    "calendar": (".ics", ".ical", ".icalendar"),
    "addressbook": (".vcf", ".vcard"),
}
ITEM_ENDINGS: Mapping[Kind, str] = {"calendar": ".ics", "addressbook": ".vcf"}
SECOND = ".vcf"  # behind the name of a folder that has calendars too
# What programs write into a file about the calendar as a whole: Apple's, Google's and RFC 7986's words.
ABOUT = {
    "NAME": xml.NAME,
    "X-WR-CALNAME": xml.NAME,
    "X-WR-CALDESC": f"{{{xml.CAL}}}calendar-description",
    "X-APPLE-CALENDAR-COLOR": xml.COLOUR,
}
LEFT_BY_PROGRAMS = ("thumbs.db", "desktop.ini")
NAMED = 20  # damages of one file that are told in words
_mark = rb"(?:\A|[\r\n])(?:\xef\xbb\xbf)?[ \t]*BEGIN:"
_begins = re.compile(_mark + rb"(?:VCALENDAR|VCARD|VLIST)[ \t]*(?:[\r\n]|\Z)", re.I)
_inner = re.compile(_mark + rb"V(?!CALENDAR)", re.I)


class Folder:
    """Read what a server's session reads, from files. Raises AccessError when the folder can't be read."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._last: tuple[str, Mapping[str, Item], Listing] = ("", {}, Listing({}))

    def close(self) -> None:
        """Nothing is held open."""

    def collections(self, home: str, kind: Kind) -> Found:
        """One for each file of this kind, and for each folder that has some; with the calendars, what gives nothing."""
        entries = self._entries()
        found = [self._collection(home, entry, kind) for entry in entries if _files(entry, kind)]
        return Found(found, list(self._passed_over(entries)) if kind == "calendar" else [])

    def listing(self, collection: str) -> Listing:
        """href -> a hash of what each item says."""
        return self._read(collection)[1]

    def contents(self, collection: str, kind: Kind, hrefs: Sequence[str]) -> Iterator[Content]:
        """The items of these hrefs."""
        found, _ = self._read(collection)
        return (_content(href, found[href]) for href in hrefs if href in found)

    def read_all(self, collection: str, kind: Kind) -> Items:
        """What the files of one collection say, for a verification: not taken apart."""
        files = {self._name(path): self._objects(path, kind) for path in _files(self._place(collection)[0], kind)}
        objects = [each for found, _ in files.values() for each in found]
        return Items(objects, [f"{name}: {each}" for name, (_, words) in files.items() for each in words])

    def _entries(self) -> list[Path]:
        try:
            return sorted(self._root.iterdir())
        except FileNotFoundError:
            if self._root.parent.is_dir():  # of this account nothing was exported
                return []
            raise AccessError(f"there is no folder {self._root.parent}: mend `calendars.old.url`") from None
        except OSError as error:
            raise AccessError(f"the folder {self._root} can't be read: {error.strerror}") from None

    def _collection(self, home: str, entry: Path, kind: Kind) -> Collection:
        files = {path: _octets(path) for path in _files(entry, kind)}
        wrong = {path: _no_calendar(octets) for path, octets in files.items()}
        first = next((octets for path, octets in files.items() if not wrong[path]), b"")
        is_second = kind == "addressbook" and entry.is_dir() and _files(entry, "calendar")
        return Collection(
            href=f"{home.rstrip('/')}/{_quoted(entry)}{SECOND if is_second else ''}/",
            kind=kind,
            properties={xml.NAME: _shown(Path(entry.stem))} | _about(first),
            tag=digest("\0".join(f"{_digest(octets)}{wrong[path]}" for path, octets in files.items())),
            broken=() if first else tuple(self._nothing(path, files[path], why) for path, why in wrong.items()),
        )

    def _nothing(self, path: Path, octets: bytes, why: str) -> NotCarried:
        return NotCarried("file", self._name(path), why, "it holds no calendar and no cards", _digest(octets))

    def _read(self, collection: str) -> tuple[Mapping[str, Item], Listing]:
        """The items of one collection; those of the last one are kept, since they are read a batch at a time."""
        if self._last[0] != collection:
            self._last = (collection, *self._read_items(collection))
        return self._last[1:]

    def _read_items(self, collection: str) -> tuple[Mapping[str, Item], Listing]:
        entry, kind = self._place(collection)
        objects: list[Component] = []
        damages: dict[str, list[str]] = {}  # by the file's name
        for path in _files(entry, kind):
            found, words = self._objects(path, kind)
            objects += found
            if words:
                damages[self._name(path)] = words
        is_whole = not damages
        taken_apart = {f"{collection}{_item_name(item.key)}{ITEM_ENDINGS[kind]}": item for item in items(objects)}
        for item in taken_apart.values():
            if item.ambiguous:
                damages.setdefault(item.origin, []).append(item.ambiguous)
        told = [
            NotCarried("file", name, _first(words), "it is damaged", digest("\n".join(words)), is_partly=True)
            for name, words in damages.items()
        ]
        return taken_apart, Listing({href: i.digest() for href, i in taken_apart.items()}, told, is_whole)

    def _objects(self, path: Path, kind: Kind) -> tuple[list[Component], list[str]]:
        """The calendars or cards in a file, and what is wrong with it, by the line."""
        octets = _octets(path)
        if why := _no_calendar(octets):
            return [], [why]
        document = read(octets, self._name(path))
        fits = [each for each in document.objects if (each.name in CARDS) is (kind == "addressbook")]
        others = [each for each in document.objects if each not in fits]
        words = [f"line {each.number}: {each.words}" for each in document.damages]
        return fits, words + [f"line {each.number}: {each.name} in a file of another kind" for each in others]

    def _place(self, collection: str) -> tuple[Path, Kind]:
        """Where the collection's files are, and of which kind they are. Raises AccessError when they are gone."""
        entries = {_quoted(path): path for path in self._entries()}
        name = collection.rstrip("/").rsplit("/", 1)[-1]
        entry = entries.get(name)
        if entry is None and (entry := entries.get(name.removesuffix(SECOND))) is not None:
            return entry, "addressbook"
        if entry is None:
            raise AccessError(f"{collection} has gone from {self._root}")
        return entry, "calendar" if _files(entry, "calendar") else "addressbook"

    def _passed_over(self, entries: Iterable[Path]) -> Iterator[NotCarried]:
        """Every file that no collection takes, with the reason."""
        for entry in entries:
            for path in _below(entry) if entry.is_dir() else [entry]:
                deep = path.parent not in (self._root, entry)
                if (deep or _kind_of(path) is None or not _is_file(path)) and (why := _passed_over(path, deep=deep)):
                    yield NotCarried("file", self._name(path), why, why, _stamp(path))

    def _name(self, path: Path) -> str:
        return _shown(path.relative_to(self._root))


def _content(href: str, item: Item) -> Content:
    return Content(
        href,
        item.digest(),
        folded(written(item.component)),
        where=item.where,
        broken=item.broken or item.ambiguous,
        told=item.component,
    )


def _item_name(key: str) -> str:
    """The last part of an item's address; a second one of the same UID comes behind the first."""
    uid, _, mark = key.partition("\0")
    return digest(uid)[:32] + (f"_{mark[:8]}" if mark else "")


def _first(words: list[str]) -> str:
    return "; ".join(words[:NAMED]) + (f", and {len(words) - NAMED} more" if len(words) > NAMED else "")


def _about(octets: bytes) -> dict[str, str]:
    """What a file says of the calendar as a whole, at its top."""
    head = _inner.split(narrow(octets), maxsplit=1)[0]
    lines = [line for found in read(head).objects for line in found.lines]
    return {ABOUT[line.name]: unescaped(line.value).strip() for line in lines if line.name in ABOUT and line.value}


def _files(entry: Path, kind: Kind) -> list[Path]:
    try:
        paths = sorted(entry.iterdir()) if entry.is_dir() else [entry]
    except OSError:  # named as what gives nothing
        return []
    return [path for path in paths if _kind_of(path) == kind and _is_file(path)]


def _kind_of(path: Path) -> Kind | None:
    if path.name.startswith("."):  # hidden, or what macOS writes beside a file (`._work.ics`)
        return None
    return next((kind for kind, endings in ENDINGS.items() if path.name.lower().endswith(endings)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _below(folder: Path) -> Iterator[Path]:
    """All files in a folder and in those inside it; a folder that can't be read is told itself."""
    unreadable: list[OSError] = []
    for place, _, names in os.walk(folder, onerror=unreadable.append):
        yield from (Path(place, name) for name in sorted(names))
    yield from (Path(error.filename) for error in unreadable)


def _octets(path: Path) -> bytes:
    """What a file holds; nothing when it can't be read, or is too large to be one calendar."""
    try:
        if path.stat().st_size > limits.BYTES:
            return b""
        return path.read_bytes()
    except OSError:
        return b""


def _no_calendar(octets: bytes) -> str:
    """Why a file gives nothing; nothing when it holds a calendar or a card."""
    text = narrow(octets)
    if _begins.search(text) or read(octets).objects:  # even the first line may be folded
        return ""
    if not text:
        return f"it is empty, can't be read, or is larger than {limits.BYTES // 2**20} MB"
    begin = text.strip()[:30].decode("utf-8", "replace").splitlines()
    return f"it holds no BEGIN:VCALENDAR and no BEGIN:VCARD, it begins with {begin[0] if begin else ''!r}"


def _passed_over(path: Path, *, deep: bool) -> str:
    """Why no collection takes this file; nothing for what programs leave beside files."""
    begin = _begin(path)
    if path.name.startswith(".") or path.name.lower() in LEFT_BY_PROGRAMS:
        return "its name begins with a dot" if _begins.search(begin) else ""
    if begin.startswith(b"PK"):
        return "it is an archive: unpack it into this folder"
    if not _is_file(path):
        return "it is no file that can be read"
    if deep:
        return "it is too deep: only files in the account's folder, and in folders directly inside, are read"
    if _begins.search(begin):
        return f"its name ends with none of {', '.join(ending for each in ENDINGS.values() for ending in each)}"
    return "it holds no calendar and no cards that Bascule can read"


def _begin(path: Path) -> bytes:
    """The first octets of a file; nothing where there is none that can be read."""
    if not _is_file(path):
        return b""
    try:
        with path.open("rb") as file:
            return narrow(file.read(4096))
    except OSError:
        return b""


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns}"


def _digest(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()


def _quoted(path: Path) -> str:
    return quote(os.fsencode(path.name), safe="~!$&'()*+,;=:@-._")


def _shown(path: Path) -> str:
    """A path as text; octets that are no UTF-8 can't be shown."""
    return os.fsencode(path).decode("utf-8", "replace")

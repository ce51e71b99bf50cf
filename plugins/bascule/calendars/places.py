"""Where a collection of old goes on new, and what people see of it there: its path, its name, its colour."""

import hashlib
import re
import unicodedata
from collections.abc import Collection as Names
from collections.abc import Mapping
from itertools import chain, count
from typing import Any
from urllib.parse import unquote

from bascule.calendars.dav import xml
from bascule.calendars.dav.model import Collection
from bascule.ledger.calendars import CalendarRow

FILE_ENDING = re.compile(r"\.(ics|ical|icalendar|vcf|vcard)$", re.I)  # collections that are files
PLAIN = re.compile(r"[A-Za-z0-9_.@+-]{1,80}")


def free_place(collection: Collection, home: str, main: Names[str], new_main: str, taken: Names[str]) -> str:
    """The path on new: SOGo's own collection for the first of the names in `main`, the old name for the others."""
    name = FILE_ENDING.sub("", collection.name)
    if name in main and f"{home}{new_main}/" not in taken:
        return f"{home}{new_main}/"
    wanted = harmless_name(name)
    places = chain([f"{home}{wanted}/"], (f"{home}{wanted}-{number}/" for number in count(2)))
    return next(place for place in places if place not in taken)


def harmless_name(name: str) -> str:
    """The name where it is plain, else one made from it, always the same: the last part of a collection's path on new.

    A SOGo 5.8 that has a collection with `'` in its path loses a connection to its database at each request, until it
    answers nobody any more; in one with `~` it finds nothing again; `..` leads elsewhere. People see the display name.
    """
    if PLAIN.fullmatch(name) and name.strip("."):
        return name
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = "-".join(re.findall(r"[A-Za-z0-9]+", plain))[:60]
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    return f"{words}-{digest[:8]}".lstrip("-")


def name_of(collection: Collection | CalendarRow) -> str:
    """What people call it: its display name, else the last part of its path on old."""
    href = collection.href if isinstance(collection, Collection) else collection.old_href
    return collection.properties.get(xml.NAME) or unquote(href.rstrip("/").rsplit("/", 1)[-1])


def changed(before: Mapping[str, Any], wanted: Mapping[str, str], present: Collection) -> dict[str, str]:
    """What changed on old, without what its owner has named or coloured otherwise on new since."""
    return {
        name: value
        for name, value in wanted.items()
        if before.get(name) != value
        and (
            name not in before
            or name not in present.properties
            or _as_kept(name, present.properties[name]) == _as_kept(name, before[name])
        )
    }


def for_sogo(properties: Mapping[str, str], path: str) -> tuple[dict[str, str], str]:
    """(the properties as SOGo can keep them, what had to be left out of the name, in words)."""
    name = properties.get(xml.NAME, "")
    kept = xml.name_for_sogo(name)
    if not name or kept == name:
        return dict(properties), ""
    kept = kept or path.rstrip("/").rsplit("/", 1)[-1]
    return {**properties, xml.NAME: kept}, f"SOGo can't keep the name “{name}” as it is, so it is called “{kept}” there"


def _as_kept(name: str, value: str) -> str:
    """A value as SOGo shows it: a name without what it can't keep, a colour without its opacity, which it adds."""
    if name == xml.NAME:
        return xml.name_for_sogo(value)
    return value[:7].lower() if re.fullmatch(r"#[0-9A-Fa-f]{6}([0-9A-Fa-f]{2})?", value) else value

"""What travels between old and new: collections, their items, and what can't be carried as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from bascule.calendars.ical.syntax import Component, Unreadable, parse
from bascule.calendars.ical.values import guesses

Kind = Literal["calendar", "addressbook"]


@dataclass(frozen=True)
class NotCarried:
    """Something of old that gives nothing: a file, a collection that can't be read, a subscription.

    `name`: what it is known by; `title`: what its owner calls it, where that is another name.
    """

    kind: Literal["file", "collection", "subscription"]
    name: str
    why: str
    cause: str  # what others have in common with it
    digest: str = ""  # changes when it does
    title: str = ""
    is_partly: bool = False  # carried, as far as it is whole


@dataclass(frozen=True)
class Collection:
    """One calendar or address book; `tag` changes whenever anything in it changes (sync-token or ctag).

    `broken`: what keeps one from saying anything of what is in it.
    """

    href: str
    kind: Kind
    properties: Mapping[str, str] = field(default_factory=dict)
    components: frozenset[str] = frozenset()
    tag: str = ""
    broken: tuple[NotCarried, ...] = ()

    @property
    def name(self) -> str:
        """The last part of its path."""
        return unquote(self.href.rstrip("/").rsplit("/", 1)[-1])


def unreadable(collection: Collection, why: str) -> NotCarried:
    """A collection that a server refuses, or can't tell the items of."""
    title = collection.properties.get("{DAV:}displayname", "")
    return NotCarried("collection", collection.href, why, "a server refuses it, or can't tell what is in it", "", title)


@dataclass(frozen=True)
class Found:
    """What old has for one account: its collections of one kind, and what gives nothing."""

    collections: list[Collection]
    others: list[NotCarried] = field(default_factory=list)


@dataclass(frozen=True)
class Listing:
    """The items of one collection: href -> etag. When it is not whole, what is missing is not gone.

    `damages`: files that did not give everything.
    """

    etags: Mapping[str, str]
    damages: list[NotCarried] = field(default_factory=list)
    is_whole: bool = True


@dataclass(frozen=True)
class Content:
    """One item as the server holds it, or as a file says it. `where`: file and line.

    `broken`: it can't be carried, as a damage of its listing says. `undecoded`: the lines that a server gave
    in no known character set, with their numbers: they were read as Windows-1252.
    """

    href: str
    etag: str
    text: str
    where: str = ""
    broken: str = ""
    undecoded: str = ""
    told: Component | None = None  # as the file says it

    @property
    def item(self) -> Component | None:
        """What it says, read from its own octets; None when it is no item."""
        return self._read if isinstance(self._read, Component) else None

    @property
    def guessed(self) -> str:
        """The lines whose character set is a guess, also that of their quoted-printable."""
        return self.undecoded or (guesses(self.item) if self.item else "")

    @property
    def why_not(self) -> str:
        """What is wrong with an item that can't be read."""
        return "" if isinstance(self._read, Component) else self._read

    @cached_property
    def _read(self) -> Component | str:
        if self.told is not None:
            return self.told
        try:
            return parse(self.text)
        except Unreadable as error:
            return str(error)


@dataclass(frozen=True)
class Items:
    """All calendars and cards of a collection as they are read from their own octets, and what can't be read."""

    objects: list[Component]
    not_read: list[str]


def normal(href: str) -> str:
    """A path as we keep and compare it: without host, every doubtful character percent-encoded once."""
    try:
        path = urlsplit(href).path
    except ValueError:  # `http://[` is no address
        path = href
    return quote(unquote(path, errors="surrogateescape"), safe="/~!$&'()*+,;=:@-._", errors="surrogatepass")

"""WebDAV as calendars and address books need it (RFC 4918, RFC 4791, RFC 6352): one session with one server.

The libraries for CalDAV keep etags to themselves and know no address books, so requests are made here, on httpx.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
from lxml import etree

from bascule.calendars import ical_compare
from bascule.calendars.dav import xml
from bascule.calendars.dav.http import DavError, DavNonsense, DavRefused, Requests
from bascule.calendars.dav.model import (
    Collection,
    Content,
    Found,
    Items,
    Kind,
    Listing,
    NotCarried,
    normal,
    unreadable,
)
from bascule.calendars.ical import syntax
from bascule.calendars.ical.values import told
from bascule.text.logs import get_logger

log = get_logger(__name__)

CONTENT_TYPES: dict[Kind, str] = {
    "calendar": "text/calendar; charset=utf-8",
    "addressbook": "text/vcard; charset=utf-8",
}


class Session(Requests):
    """What is asked of one calendar server as one user, one request at a time."""

    def __init__(self, client: httpx.Client, pause: Callable[[float], None] = time.sleep) -> None:
        super().__init__(client, pause)
        self._left_for: dict[tuple[str, Kind], tuple[list[xml.Answer], list[Collection]]] = {}

    def collections(self, home: str, kind: Kind) -> Found:
        """The calendars or address books directly below `home`, in the order of their names.

        Those of other people, which a server shows where they are shared with the owner of `home`, are left out. Where
        one collection keeps the server from telling about all, each is asked by itself. What is asked for one kind
        answers for the other one as well, once: servers read whole collections for their tags.
        """
        everything = self._left_for.pop((home, kind), None)
        if everything is None:
            everything = self._everything(home)
            self._left_for |= {(home, other): everything for other in CONTENT_TYPES if other != kind}
        answers, collections = everything
        owner = f"{{{xml.DAV}}}owner"
        own = next((answer.linked(owner) for answer in answers if answer.href.rstrip("/") == home.rstrip("/")), "")
        theirs = {
            answer.href.rstrip("/") + "/"
            for answer in answers
            if own and normal(answer.linked(owner) or own) != normal(own)
        }
        found = (item for item in collections if item.kind == kind and item.href not in theirs)
        others = [_subscription(answer) for answer in answers if answer.is_subscription()] if kind == "calendar" else []
        return Found(sorted(found, key=lambda item: item.href), others)

    def _everything(self, home: str) -> tuple[list[xml.Answer], list[Collection]]:
        """What is said of all that is there, and the collections of both kinds among it."""
        try:
            answers = self._listing(home, xml.COLLECTION)
            collections = [_collection(answer) for answer in answers]
        except (DavRefused, DavNonsense) as error:
            if isinstance(error, DavRefused) and error.status < 500:
                raise
            answers = self._listing(home, xml.KINDS)
            log.warning("old can't tell about all collections at once, so each is asked", home=home, why=str(error))
            collections = [self._by_itself(answer) for answer in answers]
        return answers, [item for item in collections if item]

    def _by_itself(self, answer: xml.Answer) -> Collection | None:
        """A collection by a question of its own; broken when the server can't answer that either."""
        basic = _collection(answer)
        if basic is None:
            return None
        try:
            return self.collection(basic.href) or basic
        except (DavRefused, DavNonsense) as error:
            if isinstance(error, DavRefused) and error.is_login:
                raise
            return replace(basic, broken=(unreadable(basic, str(error)),))

    def collection(self, href: str) -> Collection | None:
        """This one collection as it is now; None when there is none."""
        try:
            answers = self._propfind(href, xml.COLLECTION, depth=0)
        except DavRefused as error:
            if error.status in (404, 403):
                return None
            raise
        return next((item for answer in answers if (item := _collection(answer))), None)

    def homes(self, start: str) -> dict[Kind, str]:
        """Where calendars and address books live, by the principal at `start` or the one that is logged in there.

        `start` may be a principal's own address or any page of the server (RFC 6764 section 6). Raises DavError.
        """
        found = self._propfind(start, xml.HOMES, depth=0)
        if found and not found[0].linked(xml.HOME["calendar"]):
            principal = found[0].linked(xml.PRINCIPAL)
            found = self._propfind(normal(principal), xml.HOMES, depth=0) if principal else []
        said = {kind: found[0].linked(name) for kind, name in xml.HOME.items()} if found else {}
        here = self._client.base_url.host
        if other := next((href for href in said.values() if urlsplit(href).hostname not in (None, here)), ""):
            raise DavError(f"{start} says that this lives on another host: write {other} into the site file")
        homes: dict[Kind, str] = {kind: normal(href) for kind, href in said.items()}
        if not homes.get("calendar"):
            raise DavError(f"{start} names no home of calendars: write the home's own address into `url`")
        return {kind: home or homes["calendar"] for kind, home in homes.items()}

    def etags(self, collection: str) -> dict[str, str]:
        """href -> etag of every item in the collection; "" for one whose etag the server doesn't tell.

        Raises DavNonsense when the answer is not a whole listing: what isn't in one counts as removed.
        """
        here = normal(collection).rstrip("/")
        return {
            answer.href: answer.text("{DAV:}getetag")
            for answer in self._listing(collection, xml.ETAGS)
            if answer.href.rstrip("/") != here and not answer.is_collection() and " 404" not in answer.status
        }

    def listing(self, collection: str) -> Listing:
        """The same as of a source."""
        return Listing(self.etags(collection))

    def contents(self, collection: str, kind: Kind, hrefs: Sequence[str]) -> Iterator[Content]:
        """The items of these hrefs, each at most once; those that are gone, or can't be read, are left out."""
        left = dict.fromkeys(hrefs)
        if not left:
            return
        answers: list[xml.Answer] = []
        try:
            answers = self._multistatus("REPORT", collection, xml.multiget(kind, hrefs), depth=1)
        except (DavRefused, DavNonsense) as error:  # one item must not hide the others
            if isinstance(error, DavRefused) and error.is_login:
                raise
            log.warning("several items at once can't be read, so one by one", collection=collection, why=str(error))
        for answer in answers:
            text = answer.text(xml.DATA[kind])
            if text and answer.href in left:
                del left[answer.href]
                yield Content(answer.href, answer.text("{DAV:}getetag"), text)
        yield from (found for href in left if (found := self._readable(href)))

    def read_all(self, collection: str, kind: Kind) -> Items:
        """What all items say, for a verification."""
        hrefs = list(self.etags(collection))
        found = {content.href: content.item for content in self.contents(collection, kind, hrefs)}
        unread = [
            f"{href}: the server doesn't give it, or it can't be read" for href in hrefs if found.get(href) is None
        ]
        return Items([item for item in found.values() if item is not None], unread)

    def _readable(self, href: str) -> Content | None:
        """One item, or None when the server refuses it: one must not hold back the others."""
        try:
            return self.get(href)
        except (DavRefused, DavNonsense) as error:
            if isinstance(error, DavRefused) and error.is_login:
                raise
            log.warning("an item can't be read", item=href, why=str(error))
            return None

    def get(self, href: str) -> Content | None:
        """One item, or None when there is none."""
        try:
            response = self.request("GET", href)
        except DavRefused as error:
            if error.status in (404, 410):
                return None
            raise
        text, undecoded = _decoded(response)
        return Content(normal(href), response.headers.get("etag", ""), text, undecoded=undecoded)

    def find_uid(self, collection: str, kind: Kind, uid: str) -> Content | None:
        """The item that has this UID, if any (RFC 4791 section 7.8, RFC 6352 section 8.6)."""
        for body in xml.uid_queries(kind, uid):
            for answer in self._multistatus("REPORT", collection, body, depth=1):
                text = answer.text(xml.DATA[kind])
                if ical_compare.uid(text) == uid:  # servers look for a part of it
                    return Content(answer.href, answer.text("{DAV:}getetag"), text)
        return None

    def put(self, href: str, kind: Kind, text: str, *, if_match: str | None = None) -> None:
        """Write one item: over the version `if_match`, or as a new one that must not be there. Raises DavRefused."""
        condition = {"If-Match": if_match} if if_match is not None else {"If-None-Match": "*"}
        headers = {"Content-Type": CONTENT_TYPES[kind], **condition}
        self.request("PUT", href, content=text.encode("utf-8", "replace"), headers=headers)

    def delete(self, href: str, *, if_match: str) -> None:
        """Remove one item in the version `if_match`; one that is gone already is no error. Raises DavRefused."""
        try:
            self.request("DELETE", href, headers={"If-Match": if_match})
        except DavRefused as error:
            if error.status not in (404, 410):
                raise

    def make_collection(self, href: str, kind: Kind, properties: Mapping[str, str]) -> None:
        """Make a calendar or an address book. One that is there already is no error. Raises DavRefused."""
        method = "MKCALENDAR" if kind == "calendar" else "MKCOL"
        try:
            self.request(method, href, content=xml.make_collection(kind, properties), headers=xml.CONTENT)
        except DavRefused as error:
            if error.status not in (403, 405, 409) or self.collection(href) is None:
                raise

    def set_properties(self, href: str, properties: Mapping[str, str]) -> None:
        """Set properties of a collection, each by itself, since one refusal would undo all. Raises only DavError."""
        for name, value in properties.items():
            try:
                self.request("PROPPATCH", href, content=xml.set_property(name, value), headers=xml.CONTENT)
            except DavRefused as error:
                log.warning("a property of a collection was refused", href=href, property=name, words=error.words)

    def property(self, href: str, name: str) -> etree._Element | None:
        """One property of whatever is at `href`; None when there is no such thing or it may not be seen.

        Raises DavRefused when the server is in trouble, which says nothing of the property.
        """
        try:
            answers = self._propfind(href, xml.one_property(name), depth=0)
        except DavRefused as error:
            if error.is_login or error.status >= 500:
                raise
            return None
        return answers[0].found.get(name) if answers else None

    def mail_addresses(self, home: str) -> set[str]:
        """By which mail addresses the server knows whoever is logged in, in small letters. Raises DavRefused."""
        principal = self.property(home, xml.PRINCIPAL)
        href = (principal.findtext(f"{{{xml.DAV}}}href") or "").strip() if principal is not None else ""
        found = self.property(normal(href), xml.USER_ADDRESSES) if href else None
        texts = [(each.text or "").strip().lower() for each in found] if found is not None else []
        return {text.removeprefix("mailto:") for text in texts if text.startswith("mailto:")}

    def _propfind(self, href: str, body: bytes, *, depth: int) -> list[xml.Answer]:
        return self._multistatus("PROPFIND", href, body, depth=depth, lenient=True)

    def _listing(self, href: str, body: bytes) -> list[xml.Answer]:
        """What is at `href` and directly below. Raises DavError when the server shows only a part of it."""
        answers = self._propfind(href, body, depth=1)
        if not answers:  # not even what was asked about, which belongs to it (RFC 4918 section 9.1)
            raise DavNonsense(f"PROPFIND {href} was answered with a listing of nothing, not even of itself")
        if cut := next((answer for answer in answers if " 507" in answer.status), None):
            raise DavNonsense(f"PROPFIND {href} was answered with a part of the listing: {cut.status}")
        return answers

    def _multistatus(
        self, method: str, href: str, body: bytes, *, depth: int, lenient: bool = False
    ) -> list[xml.Answer]:
        response = self.request(method, href, content=body, headers={**xml.CONTENT, "Depth": str(depth)})
        try:
            return [
                replace(answer, href=normal(answer.href)) for answer in xml.answers(response.content, lenient=lenient)
            ]
        except xml.NoAnswer as error:
            raise DavNonsense(f"{method} {href} was answered with what makes no sense: {error}") from None


def _decoded(response: httpx.Response) -> tuple[str, str]:
    """(text, the lines that were only guessed) of an item: in UTF-8, or in the character set that is named."""
    data = response.content.removeprefix(b"\xef\xbb\xbf")
    for charset in filter(None, ("utf-8", response.charset_encoding)):
        with suppress(ValueError, LookupError):
            return data.decode(charset), ""
    lines = [(number, *syntax.decoded(raw)) for number, raw in enumerate(data.splitlines(), 1)]
    guessed = [(number, text) for number, text, guessed in lines if guessed]
    return "\r\n".join(text for _, text, _ in lines), told(guessed) or "line 1"


def _subscription(answer: xml.Answer) -> NotCarried:
    source = answer.linked(xml.SOURCE) or answer.text(xml.SOURCE)
    why = f"it is a subscription of {source or 'another calendar'}"
    return NotCarried("subscription", answer.text(xml.NAME) or answer.href, why, "it is a subscription", source)


def _collection(answer: xml.Answer) -> Collection | None:
    kind = answer.kind()
    if kind is None:
        return None
    return Collection(
        href=answer.href.rstrip("/") + "/",
        kind=kind,
        properties={name: value for name in xml.CARRIED[kind] if (value := answer.value(name))},
        components=answer.components(),
        tag=answer.text("{DAV:}sync-token") or answer.text("{http://calendarserver.org/ns/}getctag"),
    )

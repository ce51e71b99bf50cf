"""WebDAV as calendars and address books need it (RFC 4918, RFC 4791, RFC 6352): one session with one server.

The libraries for CalDAV keep etags to themselves and know no address books, so requests are made here, on httpx.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import quote, unquote, urljoin, urlsplit

import httpx
import structlog
from lxml import etree

from bascule.access import AccessError
from bascule.calendars import limits, meaning, xml

log = structlog.get_logger(__name__)

Kind = Literal["calendar", "addressbook"]

TRIES = 4
FIRST_PAUSE = 0.5  # seconds, doubled at each further try
PASSING = {429, 502, 503, 504}  # statuses that pass by themselves
NO_ROLES = {"None", "Authenticated"}  # SOGo's names for no role at all
CONTENT_TYPES = {"calendar": "text/calendar; charset=utf-8", "addressbook": "text/vcard; charset=utf-8"}


class DavError(AccessError):
    """Raised when the server can't be reached or answers what makes no sense; trying later may help."""


class DavRefused(AccessError):
    """Raised when the server refuses a request for good; `status` is HTTP's, `words` are the server's."""

    def __init__(self, method: str, url: str, status: int, words: str) -> None:
        self.status, self.words = status, words
        super().__init__(f"{method} {url} was refused with {status}" + (f": {words}" if words else ""))


@dataclass(frozen=True)
class Collection:
    """One calendar or address book; `tag` changes whenever anything in it changes (sync-token or ctag)."""

    href: str
    kind: Kind
    properties: Mapping[str, str] = field(default_factory=dict)
    components: frozenset[str] = frozenset()
    tag: str = ""

    @property
    def name(self) -> str:
        """The last part of its path."""
        return unquote(self.href.rstrip("/").rsplit("/", 1)[-1])


@dataclass(frozen=True)
class Content:
    """One item as the server holds it."""

    href: str
    etag: str
    text: str


class Session:
    """Requests to one server as one user, one at a time. Transient trouble is tried again, four times in all."""

    def __init__(self, client: httpx.Client, pause: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._pause = pause
        self._watch = limits.Watch()

    def close(self) -> None:
        self._client.close()

    def collections(self, home: str, kind: Kind) -> list[Collection]:
        """The calendars or address books directly below `home`, in the order of their names.

        Those of other people, which a server shows where they are shared with the owner of `home`, are left out.
        """
        answers = self._listing(home, xml.COLLECTION)
        owner = f"{{{xml.DAV}}}owner"
        own = next((answer.linked(owner) for answer in answers if answer.href.rstrip("/") == home.rstrip("/")), "")
        found = [
            _collection(answer) for answer in answers if not own or normal(answer.linked(owner) or own) == normal(own)
        ]
        return sorted((item for item in found if item and item.kind == kind), key=lambda item: item.href)

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

        Raises DavError when the answer is not a whole listing: what isn't in one counts as removed.
        """
        here = normal(collection).rstrip("/")
        return {
            answer.href: answer.text("{DAV:}getetag")
            for answer in self._listing(collection, xml.ETAGS)
            if answer.href.rstrip("/") != here and not answer.is_collection() and " 404" not in answer.status
        }

    def contents(self, collection: str, kind: Kind, hrefs: Sequence[str]) -> Iterator[Content]:
        """The items of these hrefs, each at most once; those that are gone, or can't be read, are left out."""
        left = dict.fromkeys(hrefs)
        if not left:
            return
        answers: list[xml.Answer] = []
        try:
            answers = self._multistatus("REPORT", collection, xml.multiget(kind, hrefs), depth=1)
        except DavError as error:  # control characters, which XML can't carry: one item must not hide the others
            log.warning("several items at once can't be read, so one by one", collection=collection, why=str(error))
        for answer in answers:
            text = answer.text(xml.DATA[kind])
            if text and answer.href in left:
                del left[answer.href]
                yield Content(answer.href, answer.text("{DAV:}getetag"), text)
        yield from (found for href in left if (found := self._readable(href)))

    def _readable(self, href: str) -> Content | None:
        """One item, or None when the server refuses it: one must not hold back the others."""
        try:
            return self.get(href)
        except DavRefused as error:
            if error.status in (401, 407):
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
        return Content(normal(href), response.headers.get("etag", ""), decoded(response.content, href))

    def find_uid(self, collection: str, kind: Kind, uid: str) -> Content | None:
        """The item that has this UID, if any (RFC 4791 section 7.8, RFC 6352 section 8.6)."""
        for body in xml.uid_queries(kind, uid):
            for answer in self._multistatus("REPORT", collection, body, depth=1):
                text = answer.text(xml.DATA[kind])
                if meaning.uid(text) == uid:  # servers look for a part of it
                    return Content(answer.href, answer.text("{DAV:}getetag"), text)
        return None

    def put(self, href: str, kind: Kind, text: str, *, if_match: str | None = None) -> None:
        """Write one item: over the version `if_match`, or as a new one that must not be there. Raises DavRefused."""
        condition = {"If-Match": if_match} if if_match is not None else {"If-None-Match": "*"}
        headers = {"Content-Type": CONTENT_TYPES[kind], **condition}
        self.request("PUT", href, content=text.encode(), headers=headers)

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
            if error.status in (401, 407) or error.status >= 500:
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

    def acl_users(self, collection: str) -> list[str]:
        """Who has roles of his own in a collection of a SOGo. Raises DavRefused, as on a server that is none."""
        found = self._acl_query(collection, xml.acl_query("user-list", params="nocn,noemail"))
        if found is None or etree.QName(found).localname != "user-list":
            raise DavRefused("REPORT", collection, 501, "the server is no SOGo")
        return [each.text or "" for each in found.iter("{*}id")]

    def roles(self, collection: str, who: str) -> frozenset[str]:
        """What somebody (or `<default>`) may do in a collection of a SOGo. Raises DavRefused."""
        found = self._acl_query(collection, xml.acl_query("roles", user=who))
        return frozenset(etree.QName(each).localname for each in found) - NO_ROLES if found is not None else frozenset()

    def set_roles(self, collection: str, who: str, roles: Set[str]) -> None:
        """Give somebody exactly these roles in a collection of a SOGo; no roles: take all away. Raises DavRefused."""
        if roles:
            self._acl_query(collection, xml.acl_query("set-roles", sorted(roles), user=who))
        else:
            self._acl_query(collection, xml.acl_query("remove-user", user=who))

    def subscribe(self, collection: str, *, wanted: bool, users: str = "") -> None:
        """Put another one's collection among one's own in SOGo, or take it away from there. Raises DavRefused."""
        act = "subscribe" if wanted else "unsubscribe"
        self.request("POST", collection, content=xml.subscription(act, users), headers=xml.CONTENT)

    def _acl_query(self, collection: str, body: bytes) -> etree._Element | None:
        response = self.request("REPORT", collection, content=body, headers=xml.CONTENT)
        try:
            return xml.root(response.content) if response.content.strip() else None
        except xml.NoAnswer:
            raise DavRefused("REPORT", collection, 501, "the server is no SOGo") from None

    def request(
        self, method: str, url: str, *, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """One request; raises DavRefused on a status of 400 and more.

        Raises DavError when the server stays away, takes longer than limits.SECONDS in all, or answers more than
        limits.BYTES.
        """
        where, trouble = f"{method} {urljoin(str(self._client.base_url), url)}", ""
        with self._watch.limited(limits.SECONDS):
            for attempt in range(TRIES):
                if attempt:
                    self._pause(FIRST_PAUSE * 2 ** (attempt - 1))
                try:
                    response = self._answer(method, url, content, headers or {})
                except httpx.TransportError as error:
                    trouble = str(error) or type(error).__name__
                except limits.TooLarge as error:
                    raise DavError(f"{where} was answered with {error}: look what stands there") from None
                else:
                    trouble = f"status {response.status_code}"
                    if response.status_code not in PASSING and not self._watch.over:
                        return _checked(method, url, response)
                if self._watch.over:
                    raise DavError(
                        f"{where} was broken off, since it wasn't answered to the end within {limits.SECONDS:g} "
                        f"seconds (try {attempt + 1}, {trouble}): see in the server's log and load why it is so slow"
                    )
        raise DavError(f"{where} failed {TRIES} times: {trouble}")

    def _answer(self, method: str, url: str, content: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """What one try is answered, whole. Raises httpx.TransportError and limits.TooLarge."""
        traced = {"trace": self._watch.trace}
        with self._client.stream(method, url, content=content, headers=dict(headers), extensions=traced) as response:
            return limits.whole(response)

    def _propfind(self, href: str, body: bytes, *, depth: int) -> list[xml.Answer]:
        return self._multistatus("PROPFIND", href, body, depth=depth)

    def _listing(self, href: str, body: bytes) -> list[xml.Answer]:
        """What is at `href` and directly below. Raises DavError when the server shows only a part of it."""
        answers = self._propfind(href, body, depth=1)
        if not answers:  # not even what was asked about, which belongs to it (RFC 4918 section 9.1)
            raise DavError(f"PROPFIND {href} was answered with a listing of nothing, not even of itself")
        if cut := next((answer for answer in answers if " 507" in answer.status), None):
            raise DavError(f"PROPFIND {href} was answered with a part of the listing: {cut.status}")
        return answers

    def _multistatus(self, method: str, href: str, body: bytes, *, depth: int) -> list[xml.Answer]:
        response = self.request(method, href, content=body, headers={**xml.CONTENT, "Depth": str(depth)})
        try:
            return [replace(answer, href=normal(answer.href)) for answer in xml.answers(response.content)]
        except xml.NoAnswer as error:
            raise DavError(f"{method} {href} was answered with what makes no sense: {error}") from None


def normal(href: str) -> str:
    """A path as we keep and compare it: without host, every doubtful character percent-encoded once."""
    return quote(unquote(urlsplit(href).path), safe="/~!$&'()*+,;=:@-._")


def decoded(data: bytes, where: str) -> str:
    """The text of an item or a file; what is no UTF-8 is read as Windows text, and said."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode()
    except UnicodeDecodeError:
        log.warning("this is not UTF-8, so it is read as Windows-1252", item=where)
        return data.decode("cp1252", errors="replace")


def _checked(method: str, url: str, response: httpx.Response) -> httpx.Response:
    if response.is_redirect:  # a login page is no answer, and what was to be written is not written
        raise DavError(
            f"{method} {url} is redirected to {response.headers['location']}: write the address of the calendars "
            "themselves into `url`"
        )
    if response.status_code < 400:
        return response
    if response.status_code in (401, 407):
        raise DavRefused(method, url, response.status_code, "the server refuses the login")
    raise DavRefused(method, url, response.status_code, xml.words(response.text))


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

"""The XML of WebDAV requests and answers. Read without document types, entities or network: a server may be hostile."""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lxml import etree
from lxml.builder import ElementMaker

DAV, CAL, CARD = "DAV:", "urn:ietf:params:xml:ns:caldav", "urn:ietf:params:xml:ns:carddav"
INVERSE = "urn:inverse:params:xml:ns:inverse-dav"  # SOGo's own
CS, APPLE = "http://calendarserver.org/ns/", "http://apple.com/ns/ical/"
NAMES = {"d": DAV, "c": CAL, "cr": CARD, "cs": CS, "a": APPLE}
CONTENT = {"Content-Type": "application/xml; charset=utf-8"}

DATA = {"calendar": f"{{{CAL}}}calendar-data", "addressbook": f"{{{CARD}}}address-data"}
NAME = f"{{{DAV}}}displayname"
ACL = f"{{{DAV}}}acl"
SOURCE = f"{{{CS}}}source"  # of a subscription
PRINCIPAL = f"{{{DAV}}}current-user-principal"
USER_ADDRESSES = f"{{{CAL}}}calendar-user-address-set"  # by which the server knows a person (RFC 6638 section 2.4.1)
HOME: dict[Literal["calendar", "addressbook"], str] = {
    "calendar": f"{{{CAL}}}calendar-home-set",
    "addressbook": f"{{{CARD}}}addressbook-home-set",
}
TRANSPARENCY = f"{{{CAL}}}schedule-calendar-transp"  # whether it counts in free/busy (RFC 6638 section 9.1)
COLOUR = f"{{{APPLE}}}calendar-color"
# What a person sees of a collection, by the kind of collection.
CARRIED = {
    "calendar": (
        NAME,
        COLOUR,
        f"{{{CAL}}}calendar-description",
        f"{{{APPLE}}}calendar-order",
        f"{{{CAL}}}calendar-timezone",
        TRANSPARENCY,
    ),
    "addressbook": (NAME, f"{{{CARD}}}addressbook-description"),
}

_d = ElementMaker(namespace=DAV, nsmap=NAMES)
_c = ElementMaker(namespace=CAL, nsmap=NAMES)
_cr = ElementMaker(namespace=CARD, nsmap=NAMES)
_sogo = ElementMaker(namespace=INVERSE, nsmap={None: INVERSE})
# Items may be larger than libxml2 likes, and with `huge_tree` nothing else limits what entities grow to.
_doctype = re.compile(rb"(?:\xef\xbb\xbf)?(?:\s|<\?.*?\?>|<!--.*?-->)*<!DOCTYPE", re.S)
_pairs = re.compile(rb"&#(x[dD][89abAB]..|5[56][0-9]{3});&#(x[dD][c-fC-F]..|5[67][0-9]{3});")
_reference = re.compile(rb"&#([xX][0-9a-fA-F]{1,8}|[0-9]{1,9});")
_illegal = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True, recover=False)


class NoAnswer(ValueError):
    """Raised when a text is not the XML that was asked for; its text says what is wrong with it."""


@dataclass(frozen=True)
class Answer:
    """What a multistatus says of one href: the properties that were found, and the status where it has one itself."""

    href: str
    found: Mapping[str, etree._Element]
    status: str = ""

    def text(self, name: str) -> str:
        element = self.found.get(name)
        return "" if element is None else "".join(element.itertext()).strip(" \t") if len(element) == 0 else ""

    def value(self, name: str) -> str:
        """The text of a property, or the choice that it holds as an element (`opaque`, `transparent`)."""
        element = self.found.get(name)
        if name == TRANSPARENCY and element is not None and len(element):
            return str(etree.QName(element[0]).localname)
        return self.text(name)

    def linked(self, name: str) -> str:
        """The address inside a property that holds one."""
        element = self.found.get(name)
        return "" if element is None else (element.findtext(f"{{{DAV}}}href") or "").strip()

    def kind(self) -> Literal["calendar", "addressbook"] | None:
        names = self._types()
        if f"{{{CARD}}}directory" in names or f"{{{CS}}}subscribed" in names:  # for all, or another one's: not its own
            return None
        if f"{{{CAL}}}calendar" in names:
            return "calendar"
        return "addressbook" if f"{{{CARD}}}addressbook" in names else None

    def is_subscription(self) -> bool:
        """Whether it only shows a calendar of elsewhere (Apple's calendarserver-subscribed)."""
        return f"{{{CS}}}subscribed" in self._types()

    def _types(self) -> set[str]:
        types = self.found.get(f"{{{DAV}}}resourcetype")
        return {str(child.tag) for child in types} if types is not None else set()

    def is_collection(self) -> bool:
        types = self.found.get(f"{{{DAV}}}resourcetype")
        return types is not None and types.find(f"{{{DAV}}}collection") is not None

    def components(self) -> frozenset[str]:
        element = self.found.get(f"{{{CAL}}}supported-calendar-component-set")
        return frozenset(child.get("name", "") for child in element) if element is not None else frozenset()


def answers(body: bytes, *, lenient: bool = False) -> list[Answer]:
    """Each response in a multistatus (RFC 4918 section 13). Raises NoAnswer.

    `lenient`: characters that XML can't have become U+FFFD, which names bear and items don't.
    """
    top = root(body, lenient=lenient)
    if top.tag != f"{{{DAV}}}multistatus":
        raise NoAnswer(f"it is no multistatus, but <{etree.QName(top).localname}>")
    return [_answer(response) for response in top.iterfind(f"{{{DAV}}}response")]


def _answer(response: etree._Element) -> Answer:
    found = {
        element.tag: element
        for part in response.iterfind(f"{{{DAV}}}propstat")
        if " 200" in (part.findtext(f"{{{DAV}}}status") or "")
        for element in part.iterfind(f"{{{DAV}}}prop/*")
    }
    status = (response.findtext(f"{{{DAV}}}status") or "").strip()
    return Answer((response.findtext(f"{{{DAV}}}href") or "").strip(), found, status)


def root(body: bytes, *, lenient: bool = False) -> etree._Element:
    """Any answer in XML. Raises NoAnswer."""
    if _doctype.match(body) or b"\0" in body[:4]:  # NUL: UTF-16 or UTF-32, in which a document type would be missed
        raise NoAnswer("it has a document type, or is not in UTF-8")
    body = _pairs.sub(_one_character, body) if b"&#" in body else body
    try:
        return etree.fromstring(body, _parser)
    except etree.XMLSyntaxError as error:
        if not lenient:
            raise NoAnswer(f"it is no XML: {error}") from None
    return root(_mended(body))


def _one_character(found: re.Match[bytes]) -> bytes:
    """Two references to surrogates, as SOGo writes a character beyond U+FFFF, as the one that they stand for."""
    try:
        high, low = (int(each[1:], 16) if each[:1] == b"x" else int(each) for each in found.groups())
    except ValueError:  # `&#xd8zz;`
        return found[0]
    if not (0xD800 <= high < 0xDC00 <= low < 0xE000):
        return found[0]
    return b"&#%d;" % (0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))


def _mended(body: bytes) -> bytes:
    """The answer without what no XML may have: references to no character, control characters, half characters."""
    text = _reference.sub(_legal_reference, body).decode("utf-8", "replace")
    return _illegal.sub("\ufffd", text).encode()


def _legal_reference(found: re.Match[bytes]) -> bytes:
    code = int(found[1][1:], 16) if found[1][:1] in b"xX" else int(found[1])
    return found[0] if code < 0x110000 and not _illegal.match(chr(code)) else "\ufffd".encode()


def name_for_sogo(name: str) -> str:
    """A name without what SOGo can't give back: it writes characters beyond U+FFFF so that no XML parser takes them."""
    return " ".join("".join(each for each in _illegal.sub("", name) if each <= "\uffff" and each != "\ufe0f").split())


def readable(text: str) -> str:
    """What a person can read in an error page: its text without tags, at most 500 characters."""
    plain = re.sub(r"<(head|style|script)\b.*?</\1>|<[^>]*>", " ", text, flags=re.S | re.I)
    return " ".join(html.unescape(plain).split())[:500]


def _text(element: etree._Element) -> bytes:
    return etree.tostring(element, xml_declaration=True, encoding="utf-8")


def _named(name: str, value: str | None = None) -> etree._Element:
    element = etree.Element(name, nsmap=NAMES)
    element.text = None if value is None else _illegal.sub("", value)
    return element


def _propfind(names: Sequence[str]) -> bytes:
    return _text(_d.propfind(_d.prop(*(_named(name) for name in names))))


HOMES = _propfind([PRINCIPAL, *HOME.values()])
ETAGS = _propfind([f"{{{DAV}}}getetag", f"{{{DAV}}}resourcetype"])
KINDS = _propfind([f"{{{DAV}}}resourcetype", f"{{{DAV}}}owner", NAME, SOURCE])  # what no item has a part in
COLLECTION = _propfind(
    [
        f"{{{DAV}}}resourcetype",
        SOURCE,
        f"{{{DAV}}}owner",
        f"{{{DAV}}}sync-token",
        f"{{{CS}}}getctag",
        f"{{{CAL}}}supported-calendar-component-set",
        *CARRIED["calendar"],
        f"{{{CARD}}}addressbook-description",
    ]
)


def multiget(kind: str, hrefs: Sequence[str]) -> bytes:
    """Ask for the items of these hrefs, with their etags."""
    hrefs_asked = [_d.href(href) for href in hrefs]
    if kind == "calendar":
        return _text(
            getattr(_c, "calendar-multiget")(_d.prop(_d.getetag(), getattr(_c, "calendar-data")()), *hrefs_asked)
        )
    return _text(
        getattr(_cr, "addressbook-multiget")(_d.prop(_d.getetag(), getattr(_cr, "address-data")()), *hrefs_asked)
    )


def uid_queries(kind: str, uid: str) -> Iterator[bytes]:
    """Queries for the item of this UID: one for each component that a calendar may hold."""
    uid = _illegal.sub("", uid)
    if kind == "addressbook":
        match = getattr(_cr, "text-match")(uid, {"collation": "i;octet", "match-type": "equals"})
        condition = _cr.filter(getattr(_cr, "prop-filter")({"name": "UID"}, match))
        yield _text(getattr(_cr, "addressbook-query")(_d.prop(_d.getetag(), getattr(_cr, "address-data")()), condition))
        return
    for component in ("VEVENT", "VTODO"):
        match = getattr(_c, "text-match")(uid, {"collation": "i;octet"})
        inner = getattr(_c, "comp-filter")({"name": component}, getattr(_c, "prop-filter")({"name": "UID"}, match))
        condition = _c.filter(getattr(_c, "comp-filter")({"name": "VCALENDAR"}, inner))
        yield _text(getattr(_c, "calendar-query")(_d.prop(_d.getetag(), getattr(_c, "calendar-data")()), condition))


def make_collection(kind: str, properties: Mapping[str, str]) -> bytes:
    """Body of MKCALENDAR (RFC 4791 section 5.3.1), or of extended MKCOL (RFC 5689) for an address book."""
    prop = _d.prop(*(_named(name, value) for name, value in properties.items()))
    if kind == "calendar":
        return _text(_c.mkcalendar(_d.set(prop)))
    prop.insert(0, _d.resourcetype(_d.collection(), _cr.addressbook()))
    return _text(_d.mkcol(_d.set(prop)))


def one_property(name: str) -> bytes:
    """Ask for one property."""
    return _propfind([name])


def acl_query(act: str, roles: Sequence[str] = (), **attributes: str) -> bytes:
    """SOGo's question about the rights in a collection, or a change of them."""
    return _text(
        getattr(_sogo, "acl-query")(getattr(_sogo, act)(attributes, *(getattr(_sogo, role)() for role in roles)))
    )


def subscription(act: str, users: str = "") -> bytes:
    """SOGo's `subscribe` or `unsubscribe`: for whoever is logged in, or by a superuser for `users`."""
    return _text(getattr(_sogo, act)({"users": users} if users else {}))


def set_property(name: str, value: str) -> bytes:
    """Body of PROPPATCH."""
    element = _named(name, None if name == TRANSPARENCY else value)
    if name == TRANSPARENCY:
        element.append(getattr(_c, value)())
    return _text(_d.propertyupdate(_d.set(_d.prop(element))))

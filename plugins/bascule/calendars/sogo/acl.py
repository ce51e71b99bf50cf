"""SOGo's own questions about who may do what in a collection, and its subscriptions."""

from collections.abc import Set

from lxml import etree

from bascule.calendars.dav import xml
from bascule.calendars.dav.client import Session
from bascule.calendars.dav.http import DavRefused

NO_ROLES = {"None", "Authenticated"}  # SOGo's names for no role at all


def users(session: Session, collection: str) -> list[str]:
    """Who has roles of his own in a collection. Raises DavRefused, as on a server that is no SOGo."""
    found = _ask(session, collection, xml.acl_query("user-list", params="nocn,noemail"))
    if found is None or etree.QName(found).localname != "user-list":
        raise DavRefused("REPORT", collection, 501, "the server is no SOGo")
    return [each.text or "" for each in found.iter("{*}id")]


def roles(session: Session, collection: str, who: str) -> frozenset[str]:
    """What somebody (or `<default>`) may do in a collection. Raises DavRefused."""
    found = _ask(session, collection, xml.acl_query("roles", user=who))
    return frozenset(etree.QName(each).localname for each in found) - NO_ROLES if found is not None else frozenset()


def set_roles(session: Session, collection: str, who: str, wanted: Set[str]) -> None:
    """Give somebody exactly these roles in a collection; no roles: take all away. Raises DavRefused."""
    if wanted:
        _ask(session, collection, xml.acl_query("set-roles", sorted(wanted), user=who))
    else:
        _ask(session, collection, xml.acl_query("remove-user", user=who))


def subscribe(session: Session, collection: str, *, wanted: bool, users: str = "") -> None:
    """Put another one's collection among one's own, or take it away from there. Raises DavRefused."""
    act = "subscribe" if wanted else "unsubscribe"
    session.request("POST", collection, content=xml.subscription(act, users), headers=xml.CONTENT)


def _ask(session: Session, collection: str, body: bytes) -> etree._Element | None:
    response = session.request("REPORT", collection, content=body, headers=xml.CONTENT)
    try:
        return xml.root(response.content) if response.content.strip() else None
    except xml.NoAnswer:
        raise DavRefused("REPORT", collection, 501, "the server is no SOGo") from None

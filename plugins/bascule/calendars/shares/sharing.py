"""What it means that somebody else may see or change a collection: in words, in DAV's and in SOGo's.

SOGo distinguishes public, confidential and private events; the old servers that are read here don't, so that whoever
saw an event on old sees it on new.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from lxml import etree

from bascule.calendars.dav import xml
from bascule.calendars.dav.client import Session
from bascule.calendars.dav.http import DavRefused
from bascule.calendars.dav.model import Kind, normal
from bascule.calendars.sogo import acl

Level = Literal["free_busy", "read", "write", "other"]  # other: nothing that SOGo knows by itself
EVERYBODY = "<default>"  # SOGo's name for all who can log in
PUBLIC = "anonymous"  # and for those who can't
CLASSES = ("Public", "Confidential", "Private")


@dataclass(frozen=True)
class Grant:
    """What one person may do with a collection. `roles` are SOGo's own, where old is a SOGo."""

    who: str
    level: Level
    roles: frozenset[str] = frozenset()


def roles_for(kind: Kind, grant: Grant) -> frozenset[str]:
    """SOGo's roles for it; none when SOGo has no such thing."""
    if grant.roles or grant.level == "other" or grant.who == PUBLIC:
        return grant.roles
    if kind == "addressbook":
        by_level: dict[str, tuple[str, ...]] = {
            "read": ("ObjectViewer",),
            "write": ("ObjectViewer", "ObjectEditor", "ObjectCreator", "ObjectEraser"),
        }
        return frozenset(by_level.get(grant.level, ()))
    if grant.level == "write":
        return frozenset({"ObjectCreator", "ObjectEraser", *(f"{name}Modifier" for name in CLASSES)})
    return frozenset(f"{name}{'Viewer' if grant.level == 'read' else 'DAndTViewer'}" for name in CLASSES)


def spelled(level: Level) -> str:
    """Who hears it is a postmaster or an owner."""
    return {
        "free_busy": "see when there are events",
        "read": "read",
        "write": "read and change",
        "other": "write, without reading, into",
    }[level]


def level_of(privileges: Set[str]) -> Level | None:
    """What DAV's privileges amount to (RFC 3744 section 3, RFC 4791 section 6.1); None: nothing that matters."""
    if privileges & {"all", "write"} or {"write-content", "bind"} <= privileges:
        return "write" if privileges & {"all", "read"} else "other"
    if "read" in privileges:
        return "read"
    return "free_busy" if "read-free-busy" in privileges else None


def grants_by_acl(session: Session, collection: str) -> list[Grant] | None:
    """The access control list of a collection (RFC 3744 section 5.5) without what is its owner's or inherited.

    None when the server shows no list. Raises DavRefused when it is in trouble.
    """
    entries = session.property(collection, xml.ACL)
    if entries is None:
        return None
    found: dict[str, set[str]] = {}
    for ace in entries:
        who = _principal(ace)
        if who:
            found.setdefault(who, set()).update(_privileges(ace))
    levels = {who: level_of(privileges) for who, privileges in found.items()}
    return [Grant(who, level) for who, level in sorted(levels.items()) if level]


def delegates(session: Session, collection: str) -> list[Grant]:
    """Who may act for the owner in all calendars, by the owner's two groups (Apple's calendar-proxy)."""
    owner = session.property(collection, f"{{{xml.DAV}}}owner")
    href = normal((owner.findtext(f"{{{xml.DAV}}}href") or "").strip()) if owner is not None else ""
    if not href:
        return []
    groups: Mapping[str, Level] = {"calendar-proxy-read": "read", "calendar-proxy-write": "write"}
    members: dict[str, Level] = {}
    for group, level in groups.items():
        found = session.property(f"{href.rstrip('/')}/{group}/", f"{{{xml.DAV}}}group-member-set")
        hrefs = [(each.text or "").strip() for each in found] if found is not None else []
        members |= {_last(each): level for each in hrefs if each}
    return [Grant(who, level) for who, level in sorted(members.items())]


def grants_of_sogo(session: Session, collection: str) -> list[Grant]:
    """SOGo's own roles of everybody who has some in this collection."""
    found = {who: acl.roles(session, collection, who) for who in acl.users(session, collection)}
    return [Grant(who, _level_of_roles(roles), roles) for who, roles in sorted(found.items()) if roles]


def grants(session: Session, collection: str) -> list[Grant] | None:
    """Who else may do what, by SOGo's own question where it is answered, else by the access control list.

    None when the server says nothing about it, or there is no such collection. Raises DavRefused.
    """
    try:
        return grants_of_sogo(session, collection)
    except DavRefused as error:
        if error.status in (401, 407):
            raise
    return grants_by_acl(session, collection)


def _level_of_roles(roles: Set[str]) -> Level:
    return "write" if any(role.endswith(("Modifier", "Editor", "Creator", "Eraser")) for role in roles) else "read"


def _principal(ace: etree._Element) -> str:
    """Whom an entry is about: an account by the last part of its address, everybody, the public, or nobody of ours."""
    principal = ace.find(f"{{{xml.DAV}}}principal")
    if principal is None or len(principal) == 0:
        return ""
    if any(ace.find(f"{{{xml.DAV}}}{mark}") is not None for mark in ("inherited", "protected", "deny")):
        return ""
    name = etree.QName(principal[0]).localname
    if name == "href":
        return _last((principal[0].text or "").strip())
    return {"authenticated": EVERYBODY, "all": PUBLIC, "unauthenticated": PUBLIC}.get(name, "")


def _privileges(ace: etree._Element) -> set[str]:
    tags = ace.iterfind(f"{{{xml.DAV}}}grant/{{{xml.DAV}}}privilege/*")
    return {etree.QName(each).localname for each in tags}


def _last(href: str) -> str:
    return unquote(urlsplit(href).path.rstrip("/").rsplit("/", 1)[-1])

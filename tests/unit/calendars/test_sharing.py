"""What DAV's access control lists mean in levels and in SOGo's roles."""

from typing import Any

import pytest
from bascule.calendars.dav import xml
from bascule.calendars.shares import sharing
from bascule.calendars.shares.sharing import EVERYBODY, PUBLIC, Grant
from lxml import etree

WRITES = {"PublicModifier", "ConfidentialModifier", "PrivateModifier", "ObjectCreator", "ObjectEraser"}
ACE = "<D:ace><D:principal>{who}</D:principal><D:grant>{privileges}</D:grant>{more}</D:ace>"


class OneAcl:
    """A session that knows the properties of a few addresses."""

    def __init__(self, properties: dict[tuple[str, str], str]) -> None:
        self._properties = properties

    def property(self, href: str, name: str) -> Any:
        inner = self._properties.get((href, etree.QName(name).localname))
        return etree.fromstring(f'<D:x xmlns:D="DAV:" xmlns:C="{xml.CAL}">{inner}</D:x>') if inner is not None else None


def grants(*aces: tuple[str, str, str]) -> list[Grant] | None:
    text = ""
    for who, privileges, more in aces:
        tags = "".join(f"<D:privilege><{name}/></D:privilege>" for name in privileges.split())
        text += ACE.format(who=who, privileges=tags, more=more)
    return sharing.grants_by_acl(OneAcl({("/zoe/agenda/", "acl"): text}), "/zoe/agenda/")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("privileges", "level"),
    [
        ("D:read", "read"),
        ("D:read D:write", "write"),
        ("D:all", "write"),
        ("D:read D:write-content D:bind D:unbind", "write"),
        ("D:read D:write-properties", "read"),
        ("C:read-free-busy", "free_busy"),
        ("D:write", "other"),
    ],
)
def test_privileges_make_a_level(privileges: str, level: str) -> None:
    found = grants(("<D:href>https://old.test/principals/users/b%C3%A9a/</D:href>", privileges, ""))
    assert found == [Grant("béa", level)]  # type: ignore[arg-type]


def test_entries_of_one_person_are_put_together() -> None:
    bob = "<D:href>/bob/</D:href>"
    assert grants((bob, "D:read", ""), (bob, "D:write", "")) == [Grant("bob", "write")]


def test_everybody_and_the_public_are_told_apart() -> None:
    assert grants(("<D:authenticated/>", "D:read", ""), ("<D:all/>", "D:read", "")) == [
        Grant(EVERYBODY, "read"),
        Grant(PUBLIC, "read"),
    ]


@pytest.mark.parametrize(
    ("who", "more"),
    [
        ("<D:self/>", ""),
        ("<D:property><D:owner/></D:property>", ""),
        ("<D:href>/bob/</D:href>", "<D:inherited><D:href>/</D:href></D:inherited>"),
        ("<D:href>/bob/</D:href>", "<D:protected/>"),
    ],
)
def test_what_is_the_owners_or_inherited_is_no_share(who: str, more: str) -> None:
    assert grants((who, "D:read", more)) == []


def test_a_server_without_lists_says_nothing_about_shares() -> None:
    assert sharing.grants_by_acl(OneAcl({}), "/zoe/agenda/") is None  # type: ignore[arg-type]


def test_delegates_are_the_members_of_the_owners_two_groups() -> None:
    session = OneAcl(
        {
            ("/zoe/agenda/", "owner"): "<D:href>/p/zoe/</D:href>",
            ("/p/zoe/calendar-proxy-read/", "group-member-set"): "<D:href>/p/anne/</D:href><D:href>/p/bob/</D:href>",
            ("/p/zoe/calendar-proxy-write/", "group-member-set"): "<D:href>/p/bob/</D:href>",
        }
    )
    found = sharing.delegates(session, "/zoe/agenda/")  # type: ignore[arg-type]
    assert found == [Grant("anne", "read"), Grant("bob", "write")]


@pytest.mark.parametrize(
    ("kind", "level", "roles"),
    [
        ("calendar", "read", {"PublicViewer", "ConfidentialViewer", "PrivateViewer"}),
        ("calendar", "free_busy", {"PublicDAndTViewer", "ConfidentialDAndTViewer", "PrivateDAndTViewer"}),
        ("calendar", "write", WRITES),
        ("addressbook", "read", {"ObjectViewer"}),
        ("addressbook", "write", {"ObjectViewer", "ObjectEditor", "ObjectCreator", "ObjectEraser"}),
        ("addressbook", "free_busy", set()),
        ("calendar", "other", set()),
    ],
)
def test_levels_are_roles_in_sogo(kind: Any, level: Any, roles: set[str]) -> None:
    assert sharing.roles_for(kind, Grant("bob", level)) == roles


def test_the_public_gets_nothing_by_itself() -> None:
    assert sharing.roles_for("calendar", Grant(PUBLIC, "read")) == frozenset()

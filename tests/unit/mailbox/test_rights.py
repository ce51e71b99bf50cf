"""Access rights between servers of RFC 4314 and of RFC 2086, and whom an identifier means."""

from types import SimpleNamespace
from typing import Any

import pytest
from bascule.mailbox.attributes.acl import People, is_person, value
from bascule.mailbox.imap import acl
from bascule.mailbox.imap.capabilities import Capabilities

PEOPLE = People(frozenset({"ann", "ann@obs.test"}), {"group:staff": "$staff", "bobby": "bob"}, "obs.test")


def server(*capabilities: bytes) -> Any:
    return SimpleNamespace(capabilities=Capabilities(capabilities))


NEW, OLD = server(b"ACL", b"RIGHTS=TEXK"), server(b"ACL")


@pytest.mark.parametrize(
    ("letters", "meant"),
    [("lrs", "lrs"), ("cd", "kte"), ("lrswipcda", "lrswipktea"), ("lrn0!", "lr"), ("", "")],
)
def test_rights_of_rfc_2086_are_understood(letters: str, meant: str) -> None:
    assert value(acl.rights_meant(letters, OLD)).token == meant


def test_the_repeated_rights_of_rfc_4314_are_dropped() -> None:
    assert value(acl.rights_meant("lrkxtecd", NEW)).token == "lrkxte"


@pytest.mark.parametrize(("meant", "letters"), [("lrs", "lrs"), ("lrte", "lrd"), ("lrt", "lr"), ("kx", "c"), ("x", "")])
def test_a_server_of_rfc_2086_is_told_no_more_than_is_meant(meant: str, letters: str) -> None:
    assert acl.letters_for(meant, OLD) == letters


@pytest.mark.parametrize(
    ("identifier", "on_new"),
    [
        ("bob", "bob"), ("bob@obs.test", "bob"), ("bob@OBS.TEST", "bob"), ("bob@else.test", "bob@else.test"),
        ("-bob", "-bob"), ("-bob@obs.test", "-bob"), ("bobby", "bob"), ("group:staff", "$staff"), ("$x", "$x"),
        ("anyone", "anyone"), ("ann", None), ("ann@obs.test", None), ("owner", None), ("#owner", None), ("#bob", None),
        ("administrators", None),
    ],
)  # fmt: skip
def test_identifiers_are_mapped(identifier: str, on_new: str | None) -> None:
    assert PEOPLE.on_new(identifier) == on_new


@pytest.mark.parametrize("identifier", ["anyone", "$staff", "group:staff", "!x", "authenticated", "-anyone"])
def test_groups_and_everybody_are_no_people(identifier: str) -> None:
    assert not is_person(identifier)
    assert is_person("-bob")


@pytest.mark.parametrize("identifier", ["a\r\nz1 DELETE INBOX", "a\u202eb", "\u200b", "", "x" * 300, "a\0"])
def test_what_can_not_be_seen_is_never_sent(identifier: str) -> None:
    assert not acl.is_valid(identifier)

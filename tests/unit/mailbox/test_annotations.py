"""Annotations (RFC 5464): which entries may be named to a server, and the servers' own that are left alone."""

from types import SimpleNamespace
from typing import Any

import pytest
from bascule.mailbox.attributes.metadata import Annotations
from bascule.mailbox.imap import metadata
from bascule.mailbox.imap.responses import Status
from bascule.mailbox.imap.session import Pending


@pytest.mark.parametrize(
    "entry",
    ["/private/comment", "/shared/comment", "/shared/vendor/kolab/color", "/private/a/b/c", '/private/a "b" (c)'],
)
def test_entries_that_may_be_named(entry: str) -> None:
    assert metadata.is_valid(entry)


@pytest.mark.parametrize(
    "entry",
    [
        "", "/", "/private", "/private/", "/other/comment", "comment", "/private//x", "/private/a/", "/private/a*",
        "/private/a%", "/private/a\r\nz1 DELETE INBOX", "/private/\u00e9", "/private/a\0", "/private/" + "x" * 300,
    ],
)  # fmt: skip
def test_entries_that_no_server_is_told(entry: str) -> None:
    assert not metadata.is_valid(entry)


def values(*told: Any) -> dict[str, str]:
    pending = Pending(b"", "", None, responses=[[b"*", b"METADATA", b"INBOX", list(told)]])
    found = Annotations().values(SimpleNamespace(), pending, is_old=True)  # type: ignore[arg-type]
    return {name: value.data.decode() for name, value in found.items()}


def test_what_servers_keep_for_themselves_is_not_carried() -> None:
    told = [
        b"/shared/vendor/cmu/cyrus-imapd/size", b"12", b"/private/specialuse", b"\\Sent", b"/private/Comment", b"mine",
        b"/shared/vendor/vendor.dovecot/pvt/x", b"y", b"/shared/comment", None,
    ]  # fmt: skip
    assert values(*told) == {"/private/comment": "mine"}


def test_answers_that_are_no_pairs_are_survived() -> None:
    assert values(b"/private/comment", [b"x"], b"/private/odd") == {}


def test_the_largest_annotation_left_out_is_read() -> None:
    pending: Any = SimpleNamespace(status=Status("OK", "METADATA", b"LONGENTRIES 70000", ""))
    assert metadata.too_large(pending) == 70_000
    pending.status = Status("OK", "", b"", "done")
    assert metadata.too_large(pending) == 0

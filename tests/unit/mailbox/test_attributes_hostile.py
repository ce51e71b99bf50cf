"""Rights and annotations of a server that lies or floods: nothing of it is held, or shown where it should not be."""

from collections.abc import Callable

import pytest
from bascule.mailbox.attributes.acl import People, Rights
from bascule.mailbox.attributes.metadata import Annotations
from bascule.mailbox.attributes.three_way import Value
from bascule.mailbox.imap import metadata
from bascule.mailbox.imap.errors import ProtocolError, Refused
from bascule.mailbox.imap.session import Session

from tests.imap_relay import Answer, Scripted, after_login, polite
from tests.unit.mailbox.test_hostile_server import serve

__all__ = ["serve"]
Serve = Callable[..., tuple[Session, Scripted]]


def said(*lines: bytes) -> Answer:
    return after_login(lambda line: b"".join(lines) + line.split(b" ")[0] + b" OK done\r\n")


def test_a_flood_of_annotations_is_not_held(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "MOST_HELD", 100_000)
    flood = b"* METADATA INBOX (/private/x {50000}\r\n" + b"x" * 50_000 + b")\r\n"
    session, _ = serve(said(*[flood] * 5))
    with pytest.raises(ProtocolError, match="more than 100000 bytes of annotations"):
        session.finish(Annotations().begin(session, b"INBOX"))
    assert session.wire.lost


def test_binary_annotations_are_read_octet_for_octet(serve: Serve) -> None:
    session, _ = serve(said(b"* METADATA INBOX (/private/x ~{5}\r\na\0\r\n) /private/y NIL)\r\n"))
    kind = Annotations()
    found = kind.values(session, session.finish(kind.begin(session, b"INBOX")), is_old=True)
    assert {name: value.data for name, value in found.items()} == {"/private/x": b"a\0\r\n)"}


def test_a_binary_annotation_is_sent_as_literal8(serve: Serve) -> None:
    tags: list[bytes] = []

    def answer(line: bytes) -> bytes:
        if line == b"a\0b)\r\n":
            return tags[-1] + b" OK done\r\n"
        tags.append(line.split(b" ")[0])
        return b"+ go on\r\n" if b"SETMETADATA" in line else polite(line)

    session, server = serve(answer)
    session.finish(Annotations().begin_put(session, b"INBOX", "/private/x", Value("", b"a\0b")))
    assert server.lines[-2:] == [tags[-1] + b' SETMETADATA "INBOX" ("/private/x" ~{3}\r\n', b"a\0b)\r\n"]


def test_what_a_user_noted_stands_in_no_error(serve: Serve) -> None:
    session, _ = serve(after_login(lambda line: line.split(b" ")[0] + b" NO no\r\n"))
    kind = Annotations()
    with pytest.raises(Refused) as refused:
        session.finish(kind.begin_put(session, b"INBOX", "/private/x", Value("", b"my secret")))
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "told",
    [
        b"INBOX", b"INBOX bob", b"INBOX (bob lr) NIL", b"INBOX NIL lr", b'INBOX "" lr', b"INBOX bob NIL",
        b"INBOX bob 0!\xff", b"INBOX (((bob))) lr",
    ],
)  # fmt: skip
def test_rights_that_are_none_are_survived(serve: Serve, told: bytes) -> None:
    session, _ = serve(said(b"* ACL " + told + b"\r\n"))
    kind = Rights(People(frozenset(), {}))
    assert kind.values(session, session.finish(kind.begin(session, b"INBOX")), is_old=True) == {}

"""What a message is known by, also when a server keeps its own state in the message's header."""

import hashlib

import pytest
from bascule.mailbox.messages.digests import LONGEST_HEADER, Digest, Hashing

MAIL = b"Subject: a\r\nTo: b\r\n\r\nStatus: RO\r\nX-UID: 7\r\n"


def digest(message: bytes, size: int = 1 << 20) -> Digest:
    """Received in pieces of a size."""
    hashing = Hashing()
    hashing.begin(1, len(message))
    for first in range(0, len(message), size):
        hashing.data(message[first : first + size])
    hashing.end(1)
    return hashing.found[1]


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    "message",
    [
        MAIL.replace(b"To:", b"Status: RO\r\nX-UID: 12\r\nTo:"),
        MAIL.replace(b"To: b\r\n", b"To: b\r\nX-IMAPbase: 1795930646    \r\n\t 4\r\nX-Keywords:\r\n"),
        b"status : O\r\n" + MAIL,
    ],
    ids=["fields", "folded", "other letters"],
)
def test_a_servers_fields_don_t_count_as_mail(message: bytes, size: int) -> None:
    assert digest(message, size) == (hashlib.sha256(message).digest(), hashlib.sha256(MAIL).digest())


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    "message",
    [
        MAIL,
        MAIL.replace(b"To:", b"X-Status-Of: x\r\nTo:"),
        b"\r\n" + MAIL,
        b"",
        b"no header at all",
        b"Long: " + b"x" * LONGEST_HEADER + b"\r\nStatus: RO\r\n\r\n",
    ],
    ids=["none", "other field", "no header", "empty", "no lines", "long header"],
)
def test_all_else_counts(message: bytes, size: int) -> None:
    whole = hashlib.sha256(message).digest()
    assert digest(message, size) == (whole, whole)


def test_message_that_is_all_header() -> None:
    assert digest(b"Subject: a\r\nStatus: RO\r\n", 3).mail == hashlib.sha256(b"Subject: a\r\n").digest()

"""GETMETADATA and SETMETADATA (RFC 5464): the /private and /shared annotations of folders, octet for octet."""

import re
from typing import Any

from bascule.mailbox.imap.errors import ProtocolError
from bascule.mailbox.imap.responses import read_response
from bascule.mailbox.imap.session import Pending, Session
from bascule.mailbox.imap.syntax import Literal, Part, quoted, string
from bascule.text import mutf7

LARGEST_VALUE = 65_536  # bytes of one annotation that is asked for; of larger ones the server tells the size
MOST_HELD = 16_000_000  # bytes of annotations of one folder; no honest server has so many
LONGEST_ENTRY = 255  # characters of an entry's name

_ENTRY = re.compile(
    r"/(private|shared)(/[!-$&-)+-.0-~][ -$&-)+-.0-~]*)+"
)  # RFC 5464 section 3.1: no * or %, no empty part


def begin_get_metadata(session: Session, name: bytes) -> Pending:
    held = 0
    responses: list[list[Any]] = []

    def handle(line: bytes) -> None:
        nonlocal held
        if line[2:5].upper() in (b"OK ", b"NO ", b"BAD"):
            return
        response = read_response(session.wire, line)
        held += sum(len(item) for item in _flat(response))
        if held > MOST_HELD:
            session.wire.close()
            raise ProtocolError(f"{session.server.endpoint.host} sends more than {MOST_HELD} bytes of annotations")
        responses.append(response)

    options = b"GETMETADATA (MAXSIZE %d DEPTH infinity)" % LARGEST_VALUE
    pending = session.begin(options, string(name), b"(/private /shared)", handler=handle)
    pending.responses = responses
    return pending


def entries(pending: Pending) -> dict[str, bytes]:
    """Entries with a value. Their names know no case."""
    found: dict[str, bytes] = {}
    for response in pending.named(b"METADATA", 4):
        told = response[3] if isinstance(response[3], list) else []
        for entry, data in zip(told[::2], told[1::2], strict=False):
            if isinstance(entry, bytes) and isinstance(data, bytes):
                found[entry.decode("utf-8", "backslashreplace").lower()] = data
    return found


def too_large(pending: Pending) -> int:
    """The size of the largest annotation that the server left out (METADATA LONGENTRIES), 0 when there was none."""
    status = pending.status
    if status is None or status.code != "METADATA":
        return 0
    word, _, size = status.arguments.partition(b" ")
    return int(size) if word.upper() == b"LONGENTRIES" and size.isdigit() else 0


def begin_set_metadata(session: Session, name: bytes, entry: str, data: bytes | None) -> Pending:
    """Set an entry whose name `is_valid`; None removes it."""
    quoted_entry = quoted(entry.encode())
    assert quoted_entry is not None  # no octet of a valid name needs a literal
    command = f"SETMETADATA {mutf7.display(name)} {entry}"[:200]  # a user's text has no place in messages and logs
    value = b"NIL" if data is None else _string(data)
    return session.begin(b"SETMETADATA", string(name), b"(" + quoted_entry, value, b")", command=command)


def is_valid(entry: str) -> bool:
    """Whether a server may be told this entry's name."""
    return len(entry) <= LONGEST_ENTRY and bool(_ENTRY.fullmatch(entry))


def _string(data: bytes) -> Part:
    """A value in the simplest form that carries it: quoted, literal, or literal8 when it holds NUL."""
    text = quoted(data) if len(data) < 1000 else None
    return text or Literal(data, binary=b"\0" in data)


def _flat(values: list[Any]) -> list[bytes]:
    found: list[bytes] = []
    for item in values:
        if isinstance(item, bytes):
            found.append(item)
        elif isinstance(item, list):
            found += _flat(item)
    return found

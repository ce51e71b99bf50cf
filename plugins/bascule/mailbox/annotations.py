"""Annotations of folders (METADATA, RFC 5464): /private and /shared entries with their values, octet for octet."""

import hashlib
import re
from typing import Any

from bascule.ledger.carried import What
from bascule.mailbox import names
from bascule.mailbox.errors import ProtocolError
from bascule.mailbox.merging import Value
from bascule.mailbox.parse import read_response
from bascule.mailbox.session import Pending, Session

LARGEST_VALUE = 65_536  # bytes of one annotation; larger ones are a problem, by name
MOST_HELD = 16_000_000  # bytes of annotations of one folder; no honest server has so many
LONGEST_ENTRY = 255  # characters of an entry's name

_ENTRY = re.compile(
    r"/(private|shared)(/[!-$&-)+-.0-~][ -$&-)+-.0-~]*)+"
)  # RFC 5464 section 3.1: no * or %, no empty part

# What servers keep there for themselves: sizes and dates of the folder, its special use (carried with the folder).
_SERVERS_OWN = re.compile(
    r"/(private|shared)/(specialuse$|vendor/cmu/cyrus-imapd/|vendor/vendor\.dovecot/)", re.IGNORECASE
)


class Annotations:
    """How one server tells and takes annotations."""

    what: What = "metadata"
    capability = "METADATA"

    def begin(self, session: Session, raw: bytes) -> Pending:
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
        pending = session.begin(options, names.argument(raw), b"(/private /shared)", handler=handle)
        pending.responses = responses
        return pending

    def values(self, session: Session, pending: Pending, *, is_old: bool) -> dict[str, Value]:
        """Every entry that a client may set. Names of entries know no case."""
        found: dict[str, Value] = {}
        for response in pending.responses:
            if not isinstance(response[1], bytes) or response[1].upper() != b"METADATA" or len(response) < 4:
                continue
            told = response[3] if isinstance(response[3], list) else []
            for entry, data in zip(told[::2], told[1::2], strict=False):
                if isinstance(entry, bytes) and isinstance(data, bytes):
                    name = entry.decode("utf-8", "backslashreplace").lower()
                    if not _SERVERS_OWN.match(name):
                        found[name] = Value(hashlib.sha256(data).hexdigest(), data)
        return found

    def fit(self, wanted: Value, session: Session) -> Value:
        return wanted

    def begin_put(self, session: Session, raw: bytes, name: str, wanted: Value) -> Pending:
        return self._set(session, raw, name, _string(wanted.data))

    def begin_remove(self, session: Session, raw: bytes, name: str) -> Pending:
        return self._set(session, raw, name, b"NIL")

    def _set(self, session: Session, raw: bytes, name: str, data: bytes | names.Literal) -> Pending:
        entry = names.quote(name.encode())
        assert entry is not None  # `is_sayable` has let no octet through that would need a literal
        shown = f"SETMETADATA {names.display(raw)} {name}"[:200]  # a user's text has no place in messages and logs
        return session.begin(b"SETMETADATA", names.argument(raw), b"(" + entry, data, b")", shown=shown)

    @staticmethod
    def unite(old: Value, new: Value) -> Value:
        """Both had a value at the first meeting: new's stays."""
        return new


def is_sayable(entry: str) -> bool:
    """Whether a server may be told this entry's name."""
    return len(entry) <= LONGEST_ENTRY and bool(_ENTRY.fullmatch(entry))


def too_large(pending: Pending) -> int:
    """The size of the largest annotation that the server left out (METADATA LONGENTRIES), 0 when there was none."""
    status = pending.status
    if status is None or status.code != "METADATA":
        return 0
    word, _, size = status.arguments.partition(b" ")
    return int(size) if word.upper() == b"LONGENTRIES" and size.isdigit() else 0


def _string(data: bytes) -> bytes | names.Literal:
    """A value in the simplest form that carries it: quoted, literal, or literal8 when it holds NUL."""
    quoted = names.quote(data) if len(data) < 1000 else None
    return quoted or names.Literal(data, binary=b"\0" in data)


def _flat(values: list[Any]) -> list[bytes]:
    found: list[bytes] = []
    for item in values:
        if isinstance(item, bytes):
            found.append(item)
        elif isinstance(item, list):
            found += _flat(item)
    return found

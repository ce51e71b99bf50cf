"""What commands are made of (RFC 9051 section 9): strings, literals, sets of UIDs, numbers."""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

_NUMBER = re.compile(rb"\d+")


@dataclass(frozen=True)
class Literal:
    """An argument that only a literal can carry; `binary` when it may hold NUL (literal8, RFC 3516)."""

    data: bytes
    binary: bool = False


Part = bytes | Literal  # of a command


def quoted(text: bytes) -> bytes | None:
    """The text as a quoted string, or None when only a literal can carry it."""
    if any(octet in b"\r\n\0" or octet > 0x7E for octet in text):
        return None
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def string(text: bytes) -> Part:
    """A string argument, in the simplest form that carries it."""
    return quoted(text) or Literal(text)


def number(text: bytes) -> int:
    """The first number in a response's text; 0 when there is none, or none of at most 63 bits."""
    found = _NUMBER.search(text)
    return int(found[0]) if found and len(found[0]) < 19 else 0


def parse_set(text: bytes) -> Iterator[tuple[int, int]]:
    """A set of UIDs, as (first, last) pairs in the order written. Raises ValueError."""
    for found in re.finditer(rb"[^,]+", text):
        first, _, last = found[0].partition(b":")
        a, b = int(first), int(last or first)
        yield min(a, b), max(a, b)


def write_set(uids: Iterable[int]) -> bytes:
    """UIDs as a set, runs shortened."""
    parts: list[bytes] = []
    first, last = 0, -1
    for uid in sorted(uids):
        if uid == last + 1 and parts:
            last = uid
            parts[-1] = b"%d:%d" % (first, last)
        else:
            first = last = uid
            parts.append(b"%d" % uid)
    return b",".join(parts)


def set_between(first: int, last: int | None, without: Collection[int] = ()) -> bytes:
    """All UIDs from `first` to `last` (None: to the end), but those `without`: short however many there are."""
    parts = []
    for uid in sorted(uid for uid in without if uid >= first and (last is None or uid <= last)):
        if uid > first:
            parts.append(b"%d:%d" % (first, uid - 1))
        first = uid + 1
    if last is None:
        parts.append(b"%d:*" % first)
    elif first <= last:
        parts.append(b"%d:%d" % (first, last))
    return b",".join(parts)

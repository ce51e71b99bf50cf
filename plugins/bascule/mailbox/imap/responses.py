"""Server responses as Python values (RFC 9051 section 9): atoms and strings are bytes, NIL is None, lists are lists.

No answer is trusted to be of the type that is due: `text`, `values` and `whole_number` take what comes.
"""

import re
from dataclasses import dataclass
from typing import Any

from bascule.mailbox.imap.connection import LITERAL, Wire
from bascule.mailbox.imap.errors import ProtocolError

DEEPEST = 50  # lists in lists

_QUOTED = re.compile(rb'"((?:[^"\\\r\n]|\\.)*)"', re.DOTALL)
# The items of FETCH that have a section, with the spaces in it; any other atom ends at a space or a parenthesis, also
# keywords that servers pass on though they are none, such as `[todo` or `a"b`.
_ATOM = re.compile(rb"(?i:(?:BODY|BINARY)(?:\.[A-Z]+)*\[[^\]\r\n]*\](?:<\d+>)?)|[^\s()\"][^\s()]*")
_UNESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_TAGGED = re.compile(rb"(\S+) (OK|NO|BAD)(?: (.*))?", re.DOTALL | re.IGNORECASE)
# PERMANENTFLAGS (...) may hold keywords with brackets.
_CODE = re.compile(rb"\[([A-Za-z0-9-]+)(?: (\([^()\r\n]*\)|[^\]]*))?\] ?")
# Responses in which names stand: an unquoted NIL is a folder of that name there (an atom is an astring, RFC 9051 9).
_WITH_NAMES = re.compile(rb"\* (?:LIST|LSUB|STATUS) ", re.IGNORECASE)


@dataclass(frozen=True)
class Status:
    """A status: OK, NO, BAD (or BYE, PREAUTH), its response code, the code's arguments, and the text for people."""

    kind: str
    code: str
    arguments: bytes
    text: str


def parse_status(kind: bytes, text: bytes) -> Status:
    """The part of a status response after OK, NO, ..."""
    code, arguments = "", b""
    found = _CODE.match(text)
    if found:
        code, arguments = found[1].decode("ascii").upper(), found[2] or b""
        text = text[found.end() :]
    readable = text.strip().decode("utf-8", "replace")
    return Status(kind.decode("ascii").upper(), code, arguments, f"[{code}] {readable}" if code else readable)


def parse_tagged(line: bytes) -> tuple[bytes, Status] | None:
    """(tag, status) when the line ends a command."""
    found = _TAGGED.match(line)
    if not found:
        return None
    return found[1], parse_status(found[2], found[3] or b"")


def read_response(wire: Wire, line: bytes) -> list[Any]:
    """The values of an untagged response whose first line is given; small literals are read from the wire."""
    tokens = _Tokens(wire, line, has_nil=_WITH_NAMES.match(line) is None)
    return tokens.values(top=True)


def text(value: Any) -> bytes:
    """The value as a string; empty when it is none."""
    return value if isinstance(value, bytes) else b""


def values(value: Any) -> list[Any]:
    """The value as a list; empty when it is none."""
    return value if isinstance(value, list) else []


def whole_number(value: Any) -> int:
    """The value as a number of at most 63 bits; 0 when it is none."""
    told = text(value)
    return int(told) if told.isdigit() and len(told) < 19 else 0


class _Tokens:
    def __init__(self, wire: Wire, line: bytes, *, has_nil: bool) -> None:
        self._wire = wire
        self._line = line
        self._has_nil = has_nil
        self._at = 0
        self._depth = 0

    def values(self, top: bool = False) -> list[Any]:
        found: list[Any] = []
        while True:
            octet = self._next()
            if octet == b"":
                if not top:
                    raise ProtocolError("a response ended inside a list")
                return found
            if octet == b")":
                self._at += 1
                if top:
                    raise ProtocolError("a response closed a list that was not open")
                return found
            found.append(self._value(octet))

    def _next(self) -> bytes:
        while self._line[self._at : self._at + 1] in (b" ", b"\t"):
            self._at += 1
        rest = self._line[self._at : self._at + 1]
        return b"" if rest in (b"\r", b"\n", b"") else rest

    def _value(self, octet: bytes) -> Any:
        if octet == b"(":
            return self._list()
        if octet == b'"':
            return self._quoted()
        if octet == b"{":
            literal = LITERAL.match(self._line, self._at)
            if literal:
                return self._literal(int(literal[1]))
        if octet == b"~" and (literal := LITERAL.match(self._line, self._at + 1)):  # literal8 (RFC 3516)
            return self._literal(int(literal[1]))
        found = _ATOM.match(self._line, self._at)
        if not found:
            raise ProtocolError(f"a response can't be read: {self._line[self._at : self._at + 60]!r}")
        self._at = found.end()
        return None if self._has_nil and found[0].upper() == b"NIL" else found[0]

    def _list(self) -> list[Any]:
        self._at += 1
        self._depth += 1
        if self._depth > DEEPEST:
            raise ProtocolError(f"a response has more than {DEEPEST} lists in one another")
        values = self.values()
        self._depth -= 1
        return values

    def _quoted(self) -> bytes:
        found = _QUOTED.match(self._line, self._at)
        if not found:
            raise ProtocolError(f"a quoted string does not end: {self._line[self._at : self._at + 60]!r}")
        self._at = found.end()
        return _UNESCAPE.sub(rb"\1", found[1])

    def _literal(self, size: int) -> bytes:
        value = self._wire.read_literal(size)
        self._line, self._at = self._wire.read_line(), 0
        return value

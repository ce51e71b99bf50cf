"""What a ManageSieve server says (RFC 5804 section 4), read without trusting it: no line and no answer is endless."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from bascule.hosts.connections import AccessError

LARGEST_LITERAL = 64 << 20  # octets; more is a broken or hostile server
LONGEST_LINE = 64 << 10
MOST_LINES = 20_000  # of data in one answer
MOST_WORDS = 100  # of a line with literals in it
Word = bytes | str  # a string's octets, or an atom (also "(" and ")")


class ManageSieveError(AccessError):
    """Raised when the server can't be reached, breaks the protocol, or refuses the connection or the login."""


@dataclass(frozen=True)
class Line:
    """One line of data: its words, or None where it is none of the protocol's; and its octets (without literals)."""

    words: tuple[Word, ...] | None
    raw: bytes

    @property
    def strings(self) -> tuple[bytes, ...] | None:
        """The line's strings, when it has nothing else."""
        if self.words is None or not all(isinstance(word, bytes) for word in self.words):
            return None
        return tuple(word for word in self.words if isinstance(word, bytes))


@dataclass(frozen=True)
class Answer:
    """One answer: OK, NO or BYE, the response code with its arguments, the server's words, the data before it."""

    kind: str
    code: str = ""
    arguments: tuple[bytes, ...] = ()
    words: str = ""
    data: tuple[Line, ...] = field(default=())

    @property
    def ok(self) -> bool:
        return self.kind == "OK"

    @property
    def capabilities(self) -> dict[str, str] | None:
        """What it says that the server can do; None when it is another answer (IMPLEMENTATION is never missing)."""
        found: dict[str, str] = {}
        for line in self.data:
            if not line.strings or len(line.strings) > 2:
                return None
            name, *value = line.strings
            found[text(name).upper()] = text(value[0]) if value else ""
        return found if found.get("IMPLEMENTATION") else None


class AnswerReader:
    """Reads answers from a connection. `where`: the server, for sentences. Raises ManageSieveError."""

    def __init__(self, read_line: Callable[[], bytes], read: Callable[[int], bytes], where: str) -> None:
        self._read_line, self._read, self._where = read_line, read, where

    def answer(self) -> Answer:
        """Lines of data until the line of OK, NO or BYE."""
        data: list[Line] = []
        while len(data) < MOST_LINES:
            line = self._line()
            first = line.words[0] if line.words else None
            if isinstance(first, str) and first.upper() in ("OK", "NO", "BYE"):
                return _answer(first.upper(), list(line.words or ())[1:], data)
            data.append(line)
        raise ManageSieveError(f"{self._where} answers with more than {MOST_LINES} lines")

    def _line(self) -> Line:
        """One logical line: a literal's octets stand between two physical ones."""
        raw, words = self._read_line(), list[Word]()
        rest = raw
        while True:
            rest = rest.lstrip(b" ")
            if not rest:
                return Line(tuple(words), raw)
            if literal := _LITERAL.fullmatch(rest):
                words.append(self._literal(int(literal[1])))
                rest = self._read_line()
                raw += b"\n" + rest
                if len(words) > MOST_WORDS:
                    raise ManageSieveError(f"{self._where} sends a line without end")
            elif word := _WORD.match(rest):
                words.append(_word(word))
                rest = rest[word.end() :]
            elif words and isinstance(words[0], str) and words[0].upper() in ("OK", "NO", "BYE"):
                raise ManageSieveError(f"{self._where} says what is not ManageSieve: {text(raw[:80])!r}")
            else:
                return Line(None, raw)

    def _literal(self, size: int) -> bytes:
        if size > LARGEST_LITERAL:
            raise ManageSieveError(f"{self._where} announces {size} bytes; no script is that long")
        return self._read(size)


_LITERAL = re.compile(rb"\{(\d{1,18})\+?\}")
_WORD = re.compile(rb'"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<atom>[()]|[^\s"(){}]+)')
_UNESCAPE = re.compile(rb"\\(.)")


def _word(found: re.Match[bytes]) -> Word:
    quoted = found["quoted"]
    return text(found["atom"]) if quoted is None else _UNESCAPE.sub(rb"\1", quoted)


def _answer(kind: str, rest: list[Word], data: list[Line]) -> Answer:
    """The response code in parentheses, with its strings, and the last string, which is for people."""
    code, arguments, words, depth = "", list[bytes](), "", 0
    for word in rest:
        if isinstance(word, str):
            depth += {"(": 1, ")": -1}.get(word, 0)
            code = code or (word.upper() if depth and word != "(" else "")
        elif depth:
            arguments.append(word)
        else:
            words = text(word)
    return Answer(kind, code, tuple(arguments), words, tuple(data))


def text(octets: bytes) -> str:
    """As people can read it, whatever the octets are."""
    return octets.decode("utf-8", errors="backslashreplace")

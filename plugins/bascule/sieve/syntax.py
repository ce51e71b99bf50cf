"""A Sieve script by the generic grammar (RFC 5228 section 8): any command, test and argument of any extension.

Nothing is ever printed from the tree: it only says where in the source text everything stands, and conversions are
edits on that text. So comments, spaces and line ends stay as they are.
"""

import bisect
import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any


class SieveSyntaxError(Exception):
    """Raised when a text is not a Sieve script by the generic grammar; says where, counted from 1."""

    def __init__(self, text: str, offset: int, message: str) -> None:
        self.offset = offset
        self.line, self.column = position(text, offset)
        self.message = message
        super().__init__(f"line {self.line}, column {self.column}: {message}")


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column (from 1, in characters) of an offset."""
    starts = _line_starts(text)
    line = bisect.bisect_right(starts, offset)
    return line, offset - starts[line - 1] + 1


@functools.lru_cache(maxsize=2)
def _line_starts(text: str) -> list[int]:
    """Found once, since a script of a megabyte may have thousands of places to tell."""
    return [0, *(found.end() for found in re.finditer("\n", text))]


@dataclass(slots=True)
class String:
    """A quoted or multi-line string: its value, and where its source stands."""

    value: str
    start: int
    end: int


@dataclass(slots=True)
class StringList:
    """A bracketed list of strings."""

    items: list[String]
    start: int
    end: int


@dataclass(slots=True)
class Number:
    """A number with its quantifier, such as 100K."""

    text: str
    start: int
    end: int

    @property
    def value(self) -> int:
        factor = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}.get(self.text[-1].lower())
        return int(self.text[:-1]) * factor if factor else int(self.text)


@dataclass(slots=True)
class Tag:
    """A tagged argument, without its colon and in lower case."""

    name: str
    start: int
    end: int


Argument = String | StringList | Number | Tag


@dataclass(slots=True, eq=False)
class Node:
    """A command or a test: its name in lower case, its arguments, the tests that it holds."""

    name: str
    start: int
    end: int = 0
    arguments: list[Argument] = field(default_factory=list)
    tests: list["Node"] = field(default_factory=list)
    block: list["Node"] | None = None  # of a command that ends in a block
    parent: "Node | None" = None  # what holds this test, or the command whose block holds this command
    is_test: bool = False
    in_parentheses: bool = False  # whether its tests stand in a list
    list_open: bool = False  # while parsing: a "(" of this node waits for its ")"

    def walk(self) -> Iterator["Node"]:
        """This node and all inside it, in the order of the source."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.block or []))
            waiting.extend(reversed(node.tests))


@dataclass(slots=True)
class StrayColon:
    """A ":" that is no tag's, or the blanks behind a tag's, left out while parsing leniently.

    Cut `start` to `end` to get a script by the grammar.
    """

    start: int
    end: int
    node: "Node | None"  # the command or test in whose arguments it stands


@dataclass
class Script:
    """A parsed script: its text, its commands, and what lenient parsing has overlooked. Never changed afterwards."""

    text: str
    commands: list[Node]
    stray_colons: list[StrayColon]
    known: dict[str, Any] = field(default_factory=dict, repr=False)  # what was found out about it, for the next rule
    _nodes: list[Node] = field(default_factory=list, repr=False)

    @functools.cached_property
    def newline(self) -> str:
        """How lines end; the first one says it."""
        end = self.text.find("\n")
        return "\r\n" if end > 0 and self.text[end - 1] == "\r" else "\n"

    def walk(self) -> Sequence[Node]:
        """All commands and tests in the order of the source."""
        if not self._nodes:
            self._nodes = [node for command in self.commands for node in command.walk()]
        return self._nodes


def quote(value: str) -> str:
    """A quoted string with this value."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_DOT_STUFFED = re.compile(r"^\.\.", re.MULTILINE)


def string_value(source: str) -> str:
    """The value of a quoted or multi-line string's source (RFC 5228 section 2.4.2)."""
    if source[0] == '"':
        body = source[1:-1]
        return _ESCAPE.sub(r"\1", body) if "\\" in body else body
    body = source[source.index("\n") + 1 :]
    body = body[: body.rindex(".")]
    return _DOT_STUFFED.sub(".", body)

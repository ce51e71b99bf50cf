"""The parser of Sieve's generic grammar (RFC 5228 section 8).

Written by hand, since lark's LALR parser took 2.3 to 5.6 s for scripts of 1 MB (aim: less than 2 s). It keeps its own
stack, so that no depth of nesting exhausts Python's, and every token is matched once, so that the time grows with the
length.
"""

import contextlib
import gc
import re
from collections.abc import Iterator

from bascule.sieve.syntax import (
    Argument,
    Node,
    Number,
    Script,
    SieveSyntaxError,
    StrayColon,
    String,
    StringList,
    Tag,
    string_value,
)

# The possessive quantifiers (*+, ++) keep every match linear. A "\r" alone is white space here, as Pigeonhole has it.
TOKEN = re.compile(
    r"""(?:[ \t\r\n]++|\#[^\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/)*+
    (?:
      (text:[ \t]*+(?:\#[^\n]*+)?\r?\n(?:(?!\.\r?\n)[^\n]*+\n)*+\.\r?\n)
     |([A-Za-z_][A-Za-z0-9_]*+)
     |:([A-Za-z_][A-Za-z0-9_]*+)
     |("[^"\\]*+(?:\\.[^"\\]*+)*+")
     |([0-9]++[KMGkmg]?)
     |(;)|(\[)|(\])|(\()|(\))|(\{)|(\})|(,)|(:)
     |(\Z)
    )""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE | re.ASCII,
)
(
    MULTILINE, IDENTIFIER, TAG, QUOTED, NUMBER, SEMICOLON, LIST, LIST_END, OPEN, CLOSE, BLOCK, BLOCK_END,
    COMMA, COLON, END,
) = range(1, 16)  # fmt: skip
WORDS = {
    MULTILINE: "a multi-line text", IDENTIFIER: "a name", TAG: "a tag", QUOTED: "a string", NUMBER: "a number",
    SEMICOLON: '";"', LIST: '"["', LIST_END: '"]"', OPEN: '"("', CLOSE: '")"', BLOCK: '"{"', BLOCK_END: '"}"',
    COMMA: '","', COLON: '":"', END: "the end of the script",
}  # fmt: skip
ENDS_ARGUMENTS, ENDS_TEST, STRINGS = {SEMICOLON, BLOCK}, {COMMA, CLOSE}, {QUOTED, MULTILINE}


def parse(text: str) -> Script:
    """Parse a script strictly. Raises SieveSyntaxError."""
    with _collector_paused():
        return _Parser(text, lenient=False).parse()


def parse_leniently(text: str) -> Script:
    """Parse a script, overlooking colons that belong to no tag (`header: :contains`, `:contains :"Subject"`).

    What was overlooked stands in `stray_colons`. Raises SieveSyntaxError for anything else.
    """
    with _collector_paused():
        return _Parser(text, lenient=True).parse()


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Python's cycle collector looks at the growing tree again and again: two fifths of a large script's time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def comments(script: Script, start: int, end: int) -> str:
    """The comments among the tokens from `start` to `end`, each with its line end; "" where there are none."""
    text, found = script.text, list[str]()
    while start < end and (token := TOKEN.match(text, start, end)):
        found += _COMMENT.findall(text[start : token.start(token.lastindex or END)])
        start = max(token.end(), start + 1)
    return "".join(comment.rstrip("\r\n") + script.newline for comment in found)


class _Parser:
    """One pass over the tokens. `node` is the command or test whose arguments are being read, None between commands."""

    def __init__(self, text: str, *, lenient: bool) -> None:
        self.text = text
        self.lenient = lenient
        self.stray: list[StrayColon] = []
        self.commands: list[Node] = []
        self.siblings = self.commands  # where the next command goes
        self.owner: Node | None = None  # the command whose block is open
        self.node: Node | None = None
        self.want_test = False  # after "(" and ",": only a test's name may follow
        self.offset = 0

    def parse(self) -> Script:
        nul = self.text.find("\0")
        if nul >= 0:
            raise SieveSyntaxError(self.text, nul, "a NUL character, which no Sieve script may contain")
        take, following = self._take, self._next
        kind, start, end = following()
        while kind != END:
            take(kind, start, end)
            kind, start, end = following()
        if self.node is not None or self.owner is not None:
            what = "a ';' or a block" if self.node is not None else 'a "}"'
            opened = self.node or self.owner
            raise self._error(len(self.text), f"the script ends where {what} is missing (for `{opened.name}`)")  # type: ignore[union-attr]
        return Script(self.text, self.commands, self.stray)

    def _next(self) -> tuple[int, int, int]:
        found = TOKEN.match(self.text, self.offset)
        if found is None:
            raise self._bad_token()
        self.offset = found.end()
        kind = found.lastindex or END
        start = found.start(kind)
        if kind == TAG:
            start -= 1
        return kind, start, self.offset

    def _take(self, kind: int, start: int, end: int) -> None:
        node = self.node
        if kind == COLON:
            self._stray_colon(start, end)
        elif self.want_test:
            if kind != IDENTIFIER:
                raise self._error(start, f"a test must stand here, not {WORDS[kind]}")
            self._open_test(start, end)
        elif node is None:
            self._between_commands(kind, start, end)
        elif kind in ENDS_ARGUMENTS:
            self._end_arguments(kind, start, end)
        elif kind in ENDS_TEST:
            self._end_of_test(kind, start, end)
        elif node.tests:
            raise self._error(start, f"after the test of `{node.name}`, {WORDS[kind]} can't stand")
        elif kind == IDENTIFIER:
            self._open_test(start, end)
        elif kind == OPEN:
            node.list_open = node.in_parentheses = True
            self.want_test = True
        elif kind == LIST:
            node.arguments.append(self._list(start))
        else:
            node.arguments.append(self._argument(kind, start, end))

    def _argument(self, kind: int, start: int, end: int) -> Argument:
        source = self.text[start:end]
        if kind in STRINGS:
            return String(string_value(source), start, end)
        if kind == TAG:
            return Tag(source[1:].lower(), start, end)
        if kind == NUMBER:
            return Number(source, start, end)
        raise self._error(start, f"{WORDS[kind]} can't stand here")

    def _list(self, start: int) -> StringList:
        items: list[String] = []
        while True:
            kind, at, end = self._next_in_list()
            if kind not in STRINGS:
                raise self._error(at, f"a string must stand here, not {WORDS[kind]}")
            items.append(String(string_value(self.text[at:end]), at, end))
            kind, at, end = self._next_in_list()
            if kind == LIST_END:
                return StringList(items, start, end)
            if kind != COMMA:
                raise self._error(at, f'"," or "]" must stand here, not {WORDS[kind]}')

    def _next_in_list(self) -> tuple[int, int, int]:
        token = self._next()
        while token[0] == COLON:
            self._stray_colon(token[1], token[2])
            token = self._next()
        return token

    def _between_commands(self, kind: int, start: int, end: int) -> None:
        if kind == IDENTIFIER:
            self.node = Node(self.text[start:end].lower(), start, end, parent=self.owner)
            self.siblings.append(self.node)
        elif kind == BLOCK_END and self.owner is not None:
            closed = self.owner
            closed.end = end
            self.owner = closed.parent
            self.siblings = self.commands if self.owner is None or self.owner.block is None else self.owner.block
        else:
            raise self._error(start, f"a command must stand here, not {WORDS[kind]}")

    def _open_test(self, start: int, end: int) -> None:
        test = Node(self.text[start:end].lower(), start, end, parent=self.node, is_test=True)
        self.node.tests.append(test)  # type: ignore[union-attr]
        self.node = test
        self.want_test = False

    def _end_of_test(self, kind: int, start: int, end: int) -> None:
        """After "," or ")": climb to the node whose list of tests is open."""
        node = self.node
        while node is not None and not node.list_open:
            node.end = max(node.end, self._last_end(node))
            node = node.parent if node.is_test else None
        if node is None:
            raise self._error(start, f"{WORDS[kind]} without an open list of tests")
        self.node = node
        if kind == COMMA:
            self.want_test = True
        else:
            node.list_open = False
            node.end = end

    def _end_arguments(self, kind: int, start: int, end: int) -> None:
        """After ";" or "{": climb to the command, through all tests that end here."""
        node = self.node
        while node is not None and node.is_test:
            if node.list_open:
                raise self._error(start, f'a ")" is missing before {WORDS[kind]}')
            node.end = max(node.end, self._last_end(node))
            node = node.parent
        if node is None or node.list_open:
            raise self._error(start, f'a ")" is missing before {WORDS[kind]}')
        node.end = end
        self.node = None
        if kind == BLOCK:
            node.block = []
            self.owner, self.siblings = node, node.block

    @staticmethod
    def _last_end(node: Node) -> int:
        if node.tests:
            return node.tests[-1].end
        return node.arguments[-1].end if node.arguments else node.end

    def _stray_colon(self, start: int, end: int) -> None:
        detached = _DETACHED.match(self.text, start) if self.lenient and self.node is not None else None
        if detached is not None and self.node is not None and not self.node.tests:
            self.stray.append(StrayColon(end, detached.start(1), self.node))
            self.node.arguments.append(Tag(detached[1].lower(), start, detached.end()))
            self.offset = detached.end()
            return
        if _MULTILINE_START.match(self.text, max(0, start - 4)):
            raise self._error(start - 4, 'a multi-line text without a line "." at its end')
        if not self.lenient:
            raise self._error(start, 'a ":" that belongs to no tag')
        self.stray.append(StrayColon(start, end, self.node))

    def _bad_token(self) -> SieveSyntaxError:
        """Say what can't be read at the next place that is neither white space nor comment."""
        at = _SPACE.match(self.text, self.offset).end()  # type: ignore[union-attr]
        rest = self.text[at : at + 5]
        if rest.startswith('"'):
            return self._error(at, "a string that is never closed")
        if rest.startswith("/*"):
            return self._error(at, "a comment that is never closed")
        return self._error(at, f"{rest[0]!r} can't stand in a Sieve script outside of strings and comments")

    def _error(self, offset: int, message: str) -> SieveSyntaxError:
        return SieveSyntaxError(self.text, offset, message)


_MULTILINE_START = re.compile(r"text:[ \t]*+(?:#[^\n]*+)?\r?\n", re.IGNORECASE | re.ASCII)
# `: contains`: names of tags that are names of nothing else.
_DETACHED = re.compile(
    r":[ \t]++(is|contains|matches|regex|over|under|comparator|all|localpart|domain)\b", re.IGNORECASE
)
_COMMENT = re.compile(r"#[^\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/", re.DOTALL)
_SPACE = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/)*+", re.DOTALL)

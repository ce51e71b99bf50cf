"""Expressions of `:regex` that no compiler takes, POSIX's extended as glibc reads them (draft-ietf-sieve-regex)."""

import re

MOST_TIMES = 32_767  # RE_DUP_MAX
CLASSES = frozenset(
    ["alpha", "upper", "lower", "digit", "xdigit", "alnum", "punct", "graph", "print", "space", "blank", "cntrl"]
)
_TIMES = re.compile(r"\{(?P<least>[0-9]*)(?:(?P<comma>,)(?P<most>[0-9]*))?\}")
_ANCHORS = "<>bB`'"  # behind a backslash


def expression_error(expression: str) -> str:
    """What is wrong, as the end of a sentence; "" where nothing certainly is."""
    return _Reader(expression).error()


class _Reader:
    def __init__(self, expression: str) -> None:
        self.text, self.at = expression, 0
        self.open: list[int] = []  # groups that are not closed yet
        self.groups = 0
        self.closed: set[int] = set()
        self.repeatable = False  # whether what stands before can be repeated

    def error(self) -> str:
        while self.at < len(self.text):
            if message := self._next():
                return message
        return 'a "(" is not closed' if self.open else ""

    def _next(self) -> str:
        one = self.text[self.at]
        if one == "\\":
            return self._escaped()
        if one == "[":
            return self._brackets()
        if one in "*+?{":
            return self._repeated(one)
        if one == "(":
            self.groups += 1
            self.open.append(self.groups)
        elif one == ")" and self.open:
            self.closed.add(self.open.pop())
        self.repeatable = one not in "(|^$"
        self.at += 1
        return ""

    def _escaped(self) -> str:
        one = self.text[self.at + 1 : self.at + 2]
        if not one:
            return "it ends in a backslash"
        if one in "123456789" and int(one) not in self.closed:
            return f"\\{one} stands for a group that is not there"
        self.repeatable = one not in _ANCHORS
        self.at += 2
        return ""

    def _repeated(self, sign: str) -> str:
        if not self.repeatable:
            return f'"{sign}" stands behind nothing that could be repeated'
        if sign != "{":
            self.at += 1
            return ""
        times = _TIMES.match(self.text, self.at)
        if times is None or not (times["least"] or times["comma"]):
            return 'behind a "{" a number must stand, or two, and a "}"'
        least, most = int((times["least"] or "0")[:9]), int((times["most"] or times["least"] or "0")[:9])
        if max(least, most) > MOST_TIMES or (times["most"] and least > most):
            return f"{times[0][:30]} is no number of times"
        self.at = times.end()
        return ""

    def _brackets(self) -> str:
        self.at += 1
        for first in "^]":
            if self.text.startswith(first, self.at):
                self.at += 1
        while not self.text.startswith("]", self.at):
            if self.at >= len(self.text):
                return 'a "[" is not closed'
            if message := self._element():
                return message
        self.at += 1
        self.repeatable = True
        return ""

    def _element(self) -> str:
        """One character, a range, or a class."""
        kind = self.text[self.at : self.at + 2]
        if kind in ("[:", "[.", "[="):
            return self._named(kind[1])
        first, last = self.text[self.at], self.text[self.at + 2 : self.at + 3]
        if first == "-" or self.text[self.at + 1 : self.at + 2] != "-" or last in ("", "]"):
            self.at += 1
            return ""
        if last == "[" and self.text[self.at + 3 : self.at + 4] in (".", "="):
            self.at += 2  # which character that is, is not known here
            return ""
        a_class = self.text.startswith("[:", self.at + 2)
        backwards = first.isascii() and last.isascii() and first > last and first.lower() > last.lower()
        if a_class or backwards:
            return f"{first}-{last} is no range"
        self.at += 3
        return ""

    def _named(self, kind: str) -> str:
        end = self.text.find(f"{kind}]", self.at + 2)
        if end < 0:
            return 'a "[" is not closed'
        name = self.text[self.at + 2 : end]
        self.at = end + 2
        return f"there is no class [:{name[:30]}:]" if kind == ":" and name not in CLASSES else ""

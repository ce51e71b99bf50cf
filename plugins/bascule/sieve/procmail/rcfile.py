"""A procmailrc as procmail reads it (procmailrc(5)): assignments, recipes, and blocks of them."""

import re
from dataclasses import dataclass, field

from bascule.sieve.parser import parse_leniently
from bascule.sieve.syntax import SieveSyntaxError

RECIPE = re.compile(r"^[ \t]*+:[ \t]*+0[ \t]*+(?P<flags>[^:#\n]*+)(?P<lock>:[^#\n]*+)?+(?:#.*+)?+$")
ASSIGNMENT = re.compile(r"^[ \t]*+(?P<name>[A-Za-z_][A-Za-z0-9_]*+)[ \t]*+=[ \t]*+(?P<value>.*+)$")
DEEPEST = 50  # of blocks in blocks
COMMENT = re.compile(r"/\*(?:[^*]++|\*(?!/))*+\*/")  # of Sieve


@dataclass
class Note:
    """A comment or an empty line."""

    line: int
    text: str


@dataclass
class Assignment:
    """One line of assignments: its first name, and the words behind it."""

    line: int
    name: str
    value: str


@dataclass
class Recipe:
    """One recipe: its conditions, and either an action or a block."""

    line: int
    flags: str
    conditions: list[str] = field(default_factory=list)
    action: str = ""
    block: "list[Statement] | None" = None


@dataclass
class Unreadable:
    """A line that is neither; `ends`: what stands behind it can't be trusted either."""

    line: int
    text: str
    ends: bool = False


Statement = Note | Assignment | Recipe | Unreadable


def looks_like_procmail(text: str) -> bool:
    """Whether the text has a recipe's first line, and is no Sieve script that has one in a comment or a text."""
    bare = COMMENT.sub("", text) if "/*" in text else text
    return any(RECIPE.match(line) for line in bare.splitlines()) and not _is_sieve(text)


def _is_sieve(text: str) -> bool:
    try:
        return bool(parse_leniently(text).commands)
    except SieveSyntaxError:
        return False


def parse(text: str) -> list[Statement]:
    """The statements of the file. Nothing is dropped: what can't be read is `Unreadable`."""
    return _Reader(text).statements(depth=0)


class _Reader:
    def __init__(self, text: str) -> None:
        self.lines = text.removesuffix("\n").split("\n")
        self.at = 0

    def statements(self, depth: int) -> list[Statement]:
        """Up to the end, or to the "}" of a block."""
        found: list[Statement] = []
        while self.at < len(self.lines):
            line = self.lines[self.at].rstrip("\r")
            bare = line.strip()
            if bare.startswith("}"):
                if depth:
                    self._shorten(line, "}")
                    return found
                found.append(self._unreadable(ends=True))
            elif not bare or bare.startswith("#"):
                self.at += 1
                found.append(Note(self.at, bare))
            elif RECIPE.match(line):
                found.append(self._recipe(depth))
            elif bare.startswith((":", "{")):
                found.append(self._unreadable(ends=True))
            else:
                found.append(self._assignment())
        if depth:
            found.append(Unreadable(len(self.lines), "a block without its end", ends=True))
        return found

    def _shorten(self, line: str, cut: str) -> None:
        """What stands behind the bracket on the same line is a line of its own."""
        self.lines[self.at] = line.strip()[len(cut) :]
        if not self.lines[self.at].strip():
            self.at += 1

    def _unreadable(self, *, ends: bool = False) -> Unreadable:
        self.at += 1
        return Unreadable(self.at, self.lines[self.at - 1].strip(), ends)

    def _assignment(self) -> Statement:
        start = self.at
        line = self._joined()
        found = ASSIGNMENT.match(line)
        return Assignment(start + 1, found["name"], found["value"]) if found else Unreadable(start + 1, line.strip())

    def _recipe(self, depth: int) -> Recipe:
        found = RECIPE.match(self.lines[self.at].rstrip("\r"))
        recipe = Recipe(self.at + 1, "".join((found["flags"] if found else "?").split()))
        self.at += 1
        while self.at < len(self.lines):
            bare = self.lines[self.at].strip()
            if not bare or bare.startswith("#"):
                self.at += 1
            elif bare.startswith("*"):
                recipe.conditions.append(self._joined().strip()[1:].strip())
            else:
                break
        if self.at < len(self.lines):
            self._action(recipe, depth)
        return recipe

    def _action(self, recipe: Recipe, depth: int) -> None:
        line = self.lines[self.at].rstrip("\r")
        if line.strip().startswith("{"):
            self._shorten(line, "{")
            recipe.block = self.statements(depth + 1) if depth < DEEPEST else [self._too_deep()]
        else:
            recipe.action = self._joined().strip()

    def _too_deep(self) -> Unreadable:
        self.at = len(self.lines)
        return Unreadable(self.at, "blocks are nested too deeply", ends=True)

    def _joined(self) -> str:
        """This line and those that go on with it; blanks at their beginnings don't count."""
        parts = []
        while self.at < len(self.lines):
            line = self.lines[self.at].rstrip("\r")
            self.at += 1
            if not line.endswith("\\"):
                parts.append(line)
                break
            parts.append(line[:-1])
        return "".join([parts[0], *(part.lstrip() for part in parts[1:])]) if parts else ""


def words(text: str) -> list[list[tuple[str, bool]]] | None:
    """The words of an action or a value: each as pieces, with whether `$` in it means a variable.

    None where the shell or backticks would be needed. A "#" at a word's beginning begins a comment.
    """
    found: list[list[tuple[str, bool]]] = []
    at, new_word = 0, True
    while at < len(text):
        if text[at].isspace():
            at, new_word = at + 1, True
            continue
        if new_word and text[at] == "#":
            break
        piece = _PIECE.match(text, at)
        if piece is None:
            return None
        if new_word:
            found.append([])
        found[-1].append(_unquoted(piece))
        at, new_word = piece.end(), False
    return found


def _unquoted(piece: re.Match[str]) -> tuple[str, bool]:
    if piece["double"] is not None:
        return re.sub(r'\\(["\\$`])', r"\1", piece["double"]), "\\$" not in piece["double"]
    if piece["plain"] is not None:
        return piece["plain"], True
    return piece["single"] if piece["single"] is not None else piece["escaped"], False


_PIECE = re.compile(
    r"'(?P<single>[^']*+)'|\"(?P<double>(?:[^\"\\`]++|\\.)*+)\"|\\(?P<escaped>.)|(?P<plain>[^\s'\"\\`]++)", re.DOTALL
)

"""A procmailrc's recipes as a Sieve script. What has no exact counterpart is left out and stands there as a comment.

What is left out may have kept mail: so everything behind it that would throw mail away or send it on is left out, too.
"""

import re
from dataclasses import dataclass, field

from bascule.sieve.foldermap import FolderMap
from bascule.sieve.procmail.expressions import NotCarried, as_test
from bascule.sieve.procmail.places import HOME, INBOX, Places
from bascule.sieve.procmail.rcfile import Assignment, Note, Recipe, Statement, Unreadable, parse, words
from bascule.sieve.syntax import quote

MADE = "# Made from a procmailrc. Compare both before this is used."  # the script's first line
LEFT = "# procmail, line"  # how the comment begins that stands for what was left out
ADDRESS = re.compile(r"[^\s|!@$`,;<>()\"\\-][^\s|!@$`,;<>()\"\\]*@[^\s|!@$`,;<>()\"\\]+")
# Variables of procmail's own that change nothing of where mail goes.
HARMLESS = {
    "PATH", "SHELL", "SHELLFLAGS", "LOGFILE", "VERBOSE", "LOGABSTRACT", "LOG", "LOCKFILE", "LOCKEXT", "LOCKSLEEP",
    "LOCKTIMEOUT", "UMASK", "PMDIR", "TIMEOUT", "LINEBUF", "NORESRETRY", "SUSPEND", "COMSAT", "DELIVERED_BY", "TZ",
}  # fmt: skip
SPECIAL = {
    "INCLUDERC", "SWITCHRC", "TRAP", "HOST", "EXITCODE", "SHIFT", "DELIVERED", "SENDMAIL", "SENDMAILFLAGS", "DROPPRIVS",
    "MSGPREFIX", "SHELLMETAS", "PROCMAIL_OVERFLOW", "LASTFOLDER", "MATCH",
}  # fmt: skip
# Flags that change nothing for filing and forwarding: the header is searched, locks, and waiting for programs.
WITHOUT_MEANING = set("HwWi")


@dataclass(frozen=True)
class Left:
    """A recipe or a line that is not carried over, and why."""

    line: int
    message: str


def to_sieve(
    text: str, folders: FolderMap | None = None, offered: frozenset[str] | None = None
) -> tuple[str, list[Left]]:
    """The Sieve script, and what is not carried over. Folders' names stay the old server's.

    `offered`: the new server's extensions; None: unknown.
    """
    translation = _Translation(Places(folders or FolderMap()), offered)
    lines = translation.line_ends(text) + translation.statements(parse(text), "")
    needs = dict.fromkeys(translation.needs)
    head = [MADE] + ([f"require [{', '.join(quote(name) for name in needs)}];"] if needs else [])
    return "\n".join([*head, *lines]) + "\n", translation.left


@dataclass
class _Translation:
    places: Places
    offered: frozenset[str] | None
    left: list[Left] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)
    ended: bool = False  # at a line behind which nothing can be trusted

    def line_ends(self, text: str) -> list[str]:
        """procmail takes the "\r" of Windows for a part of each condition and name."""
        at = text.find("\r\n")
        if at < 0:
            return []
        line = text.count("\n", 0, at) + 1
        return [self._leave(line, "its line ends are those of Windows: procmail never did what stands here")]

    def statements(self, found: list[Statement], indentation: str) -> list[str]:
        """The lines of these statements; nothing behind the end."""
        lines: list[str] = []
        for statement in found:
            if self.ended:
                break
            lines += [f"{indentation}{line}".rstrip() for line in self._statement(statement)]
        return lines

    def _statement(self, statement: Statement) -> list[str]:
        if isinstance(statement, Note):
            return [statement.text]
        if isinstance(statement, Recipe):
            return self._recipe(statement)
        if isinstance(statement, Assignment):
            return self._assignment(statement)
        self.ended = statement.ends
        more = ", and nothing behind it" if statement.ends else ""
        return [self._leave(statement.line, f"{statement.text!r} is neither a recipe nor a variable{more}")]

    # -- variables

    def _assignment(self, found: Assignment) -> list[str]:
        value = words(found.value)
        more = value is not None and len(value) > 1
        if found.name in HARMLESS and not more:
            return []
        if value is None or more or found.name in SPECIAL:
            self.places.variables[found.name] = None
            return [self._leave(found.line, f"`{found.name}` is set in a way that has no counterpart")]
        try:
            path = self.places.expanded(value[0]) if value else ""
        except NotCarried as why:
            self.places.variables[found.name] = None
            return [self._leave(found.line, f"`{found.name}` can't be followed: {why}")]
        return self._set(found, path)

    def _set(self, found: Assignment, value: str) -> list[str]:
        if found.name == "MAILDIR":
            inside = value if value.startswith(("/", HOME)) else f"{self.places.variables['MAILDIR'] or ''}/{value}"
            self.places.variables["MAILDIR"] = inside.rstrip("/")
        elif found.name in ("DEFAULT", "ORGMAIL"):
            if not self.places.is_inbox(value):
                self.places.inbox.discard(f"${found.name}")
                return [self._leave(found.line, f"`{found.name}` may be another folder than the inbox")]
            self.places.inbox.add(value)
        else:
            self.places.variables[found.name] = value
        return []

    # -- recipes

    def _recipe(self, recipe: Recipe) -> list[str]:
        try:
            copy = self._is_copy(recipe)
            tests = [self._test(condition) for condition in recipe.conditions if condition]
            if recipe.block is not None:
                return self._block(recipe, tests, copy=copy)
            action = self._action(recipe, copy=copy)
        except NotCarried as why:
            return [self._leave(recipe.line, str(why)), *self._skipped(recipe)]
        self._need(tests)
        self.needs += [name for name, word in EXTENSIONS.items() if any(word in each for each in action)]
        return _rule([test for test, _ in tests], action)

    def _skipped(self, recipe: Recipe) -> list[str]:
        """What a block that is left out may have changed; and the end, if it stands in it."""
        for statement in recipe.block or ():
            if isinstance(statement, Assignment):
                self.places.variables[statement.name] = None
            elif isinstance(statement, Recipe):
                self._skipped(statement)
            elif isinstance(statement, Unreadable) and statement.ends:
                self.ended = True
        return []

    @staticmethod
    def _is_copy(recipe: Recipe) -> bool:
        flags = set(recipe.flags) - WITHOUT_MEANING
        if flags >= {"h", "b"}:
            flags -= {"h", "b"}
        if unknown := sorted(flags - {"c"}):
            raise NotCarried(f"the flag(s) {', '.join(unknown)} have no counterpart")
        return "c" in flags

    def _block(self, recipe: Recipe, tests: list[tuple[str, list[str]]], *, copy: bool) -> list[str]:
        if copy:
            raise NotCarried("a copy of the message goes through a block of recipes")
        self._need(tests)
        if not tests:
            return self.statements(recipe.block or [], "")
        before = dict(self.places.variables)
        inside = self.statements(recipe.block or [], "    ")
        self.places.copy_from(before)
        return [f"if {_all_of([test for test, _ in tests])} {{", *inside, "}"]

    def _test(self, condition: str) -> tuple[str, list[str]]:
        """One condition as a test, with the extensions that it needs. Raises NotCarried."""
        negated, body = False, condition
        while body.startswith("!"):
            negated, body = not negated, body[1:].lstrip()
        if body.startswith(("<", ">")):
            raise NotCarried(f"the condition {condition!r} counts a message's size otherwise than Sieve does")
        if body.startswith(("?", "$", "\\", '"')) or re.match(r"-?[\d.]+\^|[A-Za-z_]\w*\s*\?\?", body):
            raise NotCarried(f"the condition {condition!r} is more than a header's text")
        try:
            test, regex = as_test(body)
        except NotCarried as why:
            raise NotCarried(f"the condition {condition!r} can't be carried: {why}") from None
        if regex and self.offered is not None and "regex" not in self.offered:
            raise NotCarried(f"the condition {condition!r} needs `regex`, which the new server lacks")
        return (f"not {test}" if negated else test), ["regex"] * regex

    def _action(self, recipe: Recipe, *, copy: bool) -> list[str]:
        """The commands of a filing or forwarding recipe. Raises NotCarried."""
        text = recipe.action
        if not text or text.startswith("|"):
            raise NotCarried(f"the action {text!r} is neither filing nor forwarding")
        found = words(text.removeprefix("!"))
        if not found:
            raise NotCarried(f"the action {text!r} is neither filing nor forwarding")
        if text.startswith("!"):
            return self._forwarding([self.places.expanded(word) for word in found], copy=copy)
        if len(found) > 1:
            raise NotCarried(f"the action {text!r} stores in more than one place")
        path = self.places.expanded(found[0])
        if path == "/dev/null":
            self._see_that_nothing_is_left_out("throw away")
            return [] if copy else ["discard;", "stop;"]
        return self._filing(path, copy=copy)

    def _forwarding(self, addresses: list[str], *, copy: bool) -> list[str]:
        if bad := [address for address in addresses if not ADDRESS.fullmatch(address) or HOME in address]:
            raise NotCarried(f"{bad[0].replace(HOME, '$HOME')!r} is no address")
        self._see_that_nothing_is_left_out("send on")
        tag = ":copy " if copy else ""
        return [f"redirect {tag}{quote(address)};" for address in addresses] + ([] if copy else ["stop;"])

    def _filing(self, path: str, *, copy: bool) -> list[str]:
        try:
            folder = self.places.folder(path)
        except NotCarried as why:
            raise NotCarried(f"the folder {path.replace(HOME, '$HOME')!r}: {why}") from None
        if folder == INBOX:
            if copy:
                raise NotCarried("a copy in the inbox besides the message itself")
            return ["keep;", "stop;"]
        tag = ":copy " if copy else ""
        return [f"fileinto {tag}:create {quote(folder)};"] + ([] if copy else ["stop;"])

    def _see_that_nothing_is_left_out(self, what: str) -> None:
        if self.left:
            first = self.left[0].line
            raise NotCarried(
                f"what stands in line {first} is left out, and this would {what} mail that it may have kept"
            )

    def _need(self, tests: list[tuple[str, list[str]]]) -> None:
        self.needs += [extension for _, extensions in tests for extension in extensions]

    def _leave(self, line: int, message: str) -> str:
        message = " ".join(message.split()).replace(HOME, "$HOME")
        self.left.append(Left(line, message))
        return f"{LEFT} {line}, not carried over: {message}"


EXTENSIONS = {"fileinto": "fileinto ", "copy": ":copy ", "mailbox": ":create "}


def _all_of(tests: list[str]) -> str:
    return tests[0] if len(tests) == 1 else f"allof ({', '.join(tests)})"


def _rule(tests: list[str], action: list[str]) -> list[str]:
    if not tests:
        return action
    return [f"if {_all_of(tests)} {{", *(f"    {command}" for command in action), "}"] if action else []

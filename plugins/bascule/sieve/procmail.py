"""procmail recipes of the simple kind (filing and forwarding by a header's plain text) as Sieve; the rest by name.

See procmailrc(5). A recipe that can't be carried over is left out of the Sieve script, and stands in it as a comment.
"""

import re
from dataclasses import dataclass, field

from bascule.sieve.syntax import quote

RECIPE = re.compile(r"^\s*:0\s*(?P<flags>[A-Za-z]*)\s*(?::.*)?$")
ASSIGNMENT = re.compile(r"^\s*(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)$")
CONDITION = re.compile(r"^\^?(?P<names>\(?[A-Za-z-]+(?:\|[A-Za-z-]+)*\)?):(?P<text>.*)$")
ADDRESS = re.compile(r"^[^\s|!@$`]+@[^\s|!@$`]+$")
# One character of a regular expression that means itself. A dot between letters is meant as a dot by everyone who wrote
# an address there.
# Not `\<`, `\>` and `\/`, which are operators of procmail's own.
LITERAL = re.compile(r"\\([^\w\s<>/])|((?<=\w)\.(?=\w)|[^\\^$*+?()\[\]{}|.])")
WILDCARD = re.compile(r"[*?\\]")  # of `:matches` (RFC 5228 section 2.7.1)
LEFT = "# procmail, line"  # how the comment begins that stands for a recipe that was left out
# procmail's own names for groups of headers (procmailrc(5), MISCELLANEOUS)
TO = ("To", "Cc", "Resent-To", "Resent-Cc", "X-Envelope-To")
HARMLESS = {"PATH", "SHELL", "LOGFILE", "VERBOSE", "LOGABSTRACT", "LOG", "LOCKFILE", "UMASK", "PMDIR", "SENDMAIL"}
FLAGS = set("Hhwifb") | {"c"}  # what a filing or forwarding recipe may have without meaning anything else


@dataclass
class Recipe:
    """One recipe as it stands in the file."""

    line: int
    flags: str
    conditions: list[str] = field(default_factory=list)
    action: str = ""


@dataclass(frozen=True)
class Left:
    """A recipe or a line that is not carried over, and why."""

    line: int
    message: str


def looks_like_procmail(text: str) -> bool:
    """Whether the text has a recipe's first line."""
    return any(RECIPE.match(line) for line in text.splitlines())


def to_sieve(text: str) -> tuple[str, list[Left]]:
    """The Sieve script that does the same, and what is not carried over. Folder names stay the old server's."""
    return _Translation(text).translate()


class _Translation:
    def __init__(self, text: str) -> None:
        self.lines = text.splitlines()
        self.variables = {"MAILDIR": "", "HOME": ""}
        self.left: list[Left] = []
        self.needs: list[str] = []
        self.parts: list[str] = []
        self.at = 0

    def translate(self) -> tuple[str, list[Left]]:
        while self.at < len(self.lines):
            self._next()
        head = f"require [{', '.join(quote(name) for name in self.needs)}];\n" if self.needs else ""
        return head + "\n".join(self.parts) + ("\n" if self.parts else ""), self.left

    def _next(self) -> None:
        line = self.lines[self.at]
        if RECIPE.match(line):
            self._recipe()
            return
        self.at += 1
        if line.strip().startswith("#") or not line.strip():
            self.parts.append(line.strip())
        elif (found := ASSIGNMENT.match(line)) is not None:
            self._assign(found["name"], found["value"].strip().strip("\"'"))
        elif line.strip() != "}":
            self._leave(self.at, f"{line.strip()!r} is neither a recipe nor a variable")

    def _assign(self, name: str, value: str) -> None:
        if name in ("MAILDIR", "DEFAULT", "ORGMAIL"):
            self.variables[name] = "" if name == "MAILDIR" else value
        elif name in HARMLESS and "`" not in value:
            return
        elif "`" in value or name in ("INCLUDERC", "SWITCHRC", "TRAP", "HOST", "EXITCODE"):
            self._leave(self.at, f"`{name}` has no counterpart in Sieve")
        else:
            self.variables[name] = self._expanded(value)

    def _recipe(self) -> None:
        found = RECIPE.match(self.lines[self.at])
        recipe = Recipe(self.at + 1, found["flags"] if found else "")
        self.at += 1
        while self.at < len(self.lines) and (
            self.lines[self.at].strip().startswith(("*", "#")) or not self.lines[self.at].strip()
        ):
            if self.lines[self.at].strip().startswith("*"):
                recipe.conditions.append(self.lines[self.at].strip()[1:].strip())
            self.at += 1
        if self.at < len(self.lines):
            recipe.action = self.lines[self.at].strip()
            self.at += 1
        if recipe.action.startswith("{"):
            self._skip_block(recipe)
            return
        self._write(recipe)

    def _skip_block(self, recipe: Recipe) -> None:
        depth = recipe.action.count("{") - recipe.action.count("}")
        while depth > 0 and self.at < len(self.lines):
            stripped = self.lines[self.at].strip()
            depth += stripped.startswith("{") - stripped.endswith("}")
            self.at += 1
        self._leave(recipe.line, "a recipe with a block of recipes in it")

    def _write(self, recipe: Recipe) -> None:
        unknown = sorted(set(recipe.flags) - FLAGS)
        action = self._action(recipe)
        tests = [self._test(condition) for condition in recipe.conditions]
        if unknown:
            self._leave(recipe.line, f"the flag(s) {', '.join(unknown)} of this recipe have no counterpart")
        elif action is None:
            self._leave(recipe.line, f"the action {recipe.action!r} is neither filing nor forwarding")
        elif None in tests:
            bad = recipe.conditions[tests.index(None)]
            self._leave(recipe.line, f"the condition {bad!r} is more than a header's plain text")
        else:
            self._need(action)
            self.parts.append(_rule([test for test in tests if test], action))

    def _action(self, recipe: Recipe) -> list[str] | None:
        copy = "c" in recipe.flags
        words = recipe.action
        if words.startswith("!"):
            addresses = [word for word in re.split(r"[\s,]+", self._expanded(words[1:]).strip()) if word]
            if not addresses or not all(ADDRESS.match(address) for address in addresses):
                return None
            tag = ":copy " if copy else ""
            return [f"redirect {tag}{quote(address)};" for address in addresses] + ([] if copy else ["stop;"])
        folder = self._expanded(words.strip("\"'"))
        if not folder or words.startswith("|") or "`" in folder or "$" in folder:
            return None
        if folder == "/dev/null":
            return None if copy else ["discard;", "stop;"]
        name = folder.rstrip("/").removesuffix("/.").lstrip("./") or "INBOX"
        if folder == self.variables.get("DEFAULT") or folder == self.variables.get("ORGMAIL"):
            name = "INBOX"
        return [f"fileinto {':copy ' if copy else ''}{quote(name)};"] + ([] if copy else ["stop;"])

    def _need(self, action: list[str]) -> None:
        for extension, word in (("fileinto", "fileinto "), ("copy", ":copy ")):
            if any(word in command for command in action) and extension not in self.needs:
                self.needs.append(extension)

    def _test(self, condition: str) -> str | None:
        """One condition as a test; None when it is more than plain text in named headers."""
        negated = condition.startswith("!")
        body = condition.lstrip("! ").strip()
        size = re.fullmatch(r"([<>])\s*([0-9]+)", body)
        if size:
            test: str | None = f"size :{'over' if size[1] == '>' else 'under'} {size[2]}"
        elif body.startswith(("^TO_", "^TO")):
            test = self._contains(TO, body.removeprefix("^TO_").removeprefix("^TO"))
        else:
            found = CONDITION.match(body)
            test = self._contains(found["names"].strip("()").split("|"), found["text"]) if found else None
        return f"not {test}" if negated and test else test

    def _contains(self, names: tuple[str, ...] | list[str], text: str) -> str | None:
        """`.*text` is contained anywhere, ` *text` or `text` stands at the beginning."""
        anywhere = re.match(r"\s*\.\*", text)
        value = _literal(text[anywhere.end() :] if anywhere else re.sub(r"^\s*(\[ \t\]\*|\s\*)?", "", text))
        if not value:
            return None
        # procmail looks at the whole line with regular expressions that begin anywhere after the header's name.
        match, key = (
            (":contains", value) if anywhere or names == TO else (":matches", WILDCARD.sub(r"\\\g<0>", value) + "*")
        )
        shown = quote(names[0]) if len(names) == 1 else "[" + ", ".join(quote(name) for name in names) + "]"
        return f"header {match} {shown} {quote(key)}"

    def _expanded(self, value: str) -> str:
        def known(found: re.Match[str]) -> str:
            return self.variables.get(found[1] or found[2], found[0])

        return re.sub(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))", known, value)

    def _leave(self, line: int, message: str) -> None:
        self.left.append(Left(line, message))
        self.parts.append(f"{LEFT} {line}, not carried over: {message}")


def _rule(tests: list[str], action: list[str]) -> str:
    if not tests:
        return "\n".join(action)
    test = tests[0] if len(tests) == 1 else f"allof ({', '.join(tests)})"
    return "\n".join([f"if {test} {{", *(f"    {command}" for command in action), "}"])


def _literal(expression: str) -> str | None:
    """The text that a regular expression without any operator matches, else None."""
    expression, at, text = expression.removesuffix(".*"), 0, ""
    while at < len(expression):
        found = LITERAL.match(expression, at)
        if found is None:
            return None
        text += found[1] or found[2]
        at = found.end()
    return text.strip() or None

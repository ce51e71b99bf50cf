"""Variables (RFC 5229) that only ever hold what stands in the script: edits are made where they are `set`."""

import re
from collections.abc import Sequence

from bascule.sieve.language import all_roles, enabled, strings
from bascule.sieve.syntax import Node, Script, String

VARIABLE = re.compile(r"\$\{([A-Za-z0-9_.]+)\}")


class Constants:
    """The constant variables of one script. Without "variables" there are none, and "${...}" is text."""

    @classmethod
    def of(cls, script: Script) -> "Constants":
        """Looked for once for all rules."""
        if "constants" not in script.known:
            script.known["constants"] = cls(script)
        found: Constants = script.known["constants"]
        return found

    def __init__(self, script: Script) -> None:
        self._script = script
        self._values: dict[str, list[String]] = {}
        self._only: dict[str, str] = {}  # a variable's only value
        self._uses: dict[str, int] = {}
        self._whole: dict[tuple[str, ...], dict[str, int]] = {}  # by roles: how often a variable is the whole argument
        self._in_force = "variables" in enabled(script)
        if self._in_force:
            self._read()

    def has_variables(self, value: str) -> bool:
        """Whether the string holds something that is known only when the script runs."""
        return self._in_force and VARIABLE.search(value) is not None

    def places(self, string: String, roles: Sequence[str]) -> list[String] | None:
        """Where the value of this argument stands: itself, or the `set`s of the variable that it is.

        None where it is not constant, or where the variable is used otherwise than for arguments of these roles.
        """
        if not self.has_variables(string.value):
            return [string]
        found = VARIABLE.fullmatch(string.value)
        name = found[1].lower() if found else ""
        if name not in self._values or self._uses[name] != self._whole_uses(tuple(roles)).get(name, 0):
            return None
        return self._values[name]

    def expanded(self, value: str) -> str | None:
        """The string with every variable's only value in its place; None where one has none, or several."""
        only = [self._only.get(name.lower()) for name in VARIABLE.findall(value)]
        if None in only:
            return None
        return VARIABLE.sub(lambda found: self._only[found[1].lower()], value)

    def _read(self) -> None:
        changing: set[str] = set()
        for node in self._script.walk():
            if node.name == "set" and not node.is_test:
                self._read_set(node, changing)
            elif node.name in ("global", "import", "export", "extracttext"):
                changing.update(string.value.lower() for argument in node.arguments for string in strings(argument))
            for argument in node.arguments:
                for string in strings(argument):
                    for name in VARIABLE.findall(string.value):
                        self._uses[name.lower()] = self._uses.get(name.lower(), 0) + 1
        for name in changing:
            self._values.pop(name, None)
        for name, places in self._values.items():
            if all(place.value == places[0].value for place in places):
                self._only[name] = places[0].value

    def _read_set(self, node: Node, changing: set[str]) -> None:
        given = [argument for argument in node.arguments if isinstance(argument, String)]
        if len(given) != 2:
            return
        name = given[0].value.lower()
        if len(node.arguments) != 2 or VARIABLE.search(given[1].value):
            changing.add(name)
        else:
            self._values.setdefault(name, []).append(given[1])

    def _whole_uses(self, roles: tuple[str, ...]) -> dict[str, int]:
        if roles not in self._whole:
            counted = self._whole[roles] = {}
            for role in all_roles(self._script, *roles):
                for string in role.strings():
                    if (found := VARIABLE.fullmatch(string.value)) is not None:
                        counted[found[1].lower()] = counted.get(found[1].lower(), 0) + 1
        return self._whole[roles]

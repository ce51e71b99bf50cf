"""A script in plain words: what it tests and does, line by line, and which conversion rules have something to say."""

import re
from collections.abc import Iterator

from bascule.sieve.language import roles, strings, table
from bascule.sieve.model import Conversion
from bascule.sieve.syntax import Argument, Node, Number, Script, Tag, position
from bascule.text.harmless import harmless

LONGEST, MOST = 80, 6  # characters of a value, and values of a list, that are said


def explain(script: Script) -> Iterator[str]:
    """The script's commands, one line each, indented as they are nested."""
    waiting = [(command, 0) for command in reversed(script.commands)]
    while waiting:
        node, depth = waiting.pop()
        line, _ = position(script.text, node.start)
        yield f"{line:4}  {'  ' * depth}{_command(node)}"
        waiting.extend((inner, depth + 1) for inner in reversed(node.block or []))


def why(conversion: Conversion) -> Iterator[str]:
    """Each rule that edits or asks about this script: where, what it does, and why."""
    rules = table("rules")["rules"]
    places: dict[str, list[int]] = {}
    changes = [(edit.rule, edit.start) for edit in conversion.edits]
    changes += [(finding.rule, finding.offset) for finding in conversion.findings]
    for rule, offset in changes:
        places.setdefault(rule, []).append(conversion.place(offset)[0])
    for rule, lines in places.items():
        about = rules[rule]
        where = _listed_lines(sorted(set(lines)))
        yield f"{rule} (line {where}; {_DOES[about['does']]}): {about['what']} {about['why']}"


def _listed_lines(lines: list[int]) -> str:
    shown = ", ".join(str(line) for line in lines[:20])
    return f"{shown} and {len(lines) - 20} more" if len(lines) > 20 else shown


_DOES = {"edit": "done", "ask": "asks first", "tell": "only told"}


def _command(node: Node) -> str:
    if node.name in ("if", "elsif"):
        return f"{'if' if node.name == 'if' else 'else, if'} {_test(node.tests[0]) if node.tests else '?'}:"
    template = table("words")["commands"].get(node.name)
    if template is None and node.name != "else":
        return _unknown(node, 0)
    said = "else:" if template is None else _filled(template, node)
    # No test belongs here: the ";" before it is missing.
    return " ".join([said, *map(_test, node.tests)])


def _test(node: Node) -> str:
    """Tests are nested only as deep as a person can read: the depth of words is limited, not that of scripts."""
    return _test_at(node, 0)


def _test_at(node: Node, depth: int) -> str:
    if depth > 20:
        return "..."
    if node.name == "not":
        return f"not ({_test_at(node.tests[0], depth + 1)})" if node.tests else "not ?"
    if node.name in ("allof", "anyof"):
        word = " and " if node.name == "allof" else " or "
        return "(" + word.join(_test_at(test, depth + 1) for test in node.tests) + ")"
    template = table("words")["tests"].get(node.name)
    return _filled(template, node) if template else _unknown(node, depth)


def _filled(template: str, node: Node) -> str:
    """The template's {role} words filled with the arguments of that role, and all other arguments behind it."""
    said = _Arguments(node)
    words = {role.name: said.values(role.argument) for role in roles(node) if not role.tag}
    if "{match}" in template:
        words["match"] = said.match()
    if "{part}" in template:
        words["part"] = said.part()
    if "{method}" in template and "method" not in words:  # the form before RFC 5435
        words["method"] = said.tag("options") or "nobody"
    text = _PLACE.sub(lambda place: words.get(place[1], "?"), template)
    counted = f"the number of values of {text}" if said.counts else text
    rest = [*said.rest(), *said.left(template)]
    return counted + (f" ({', '.join(rest)})" if rest else "")


_PLACE = re.compile(r"\{([a-z]+)\}")


class _Arguments:
    """The arguments of a command or test; every tag is said once."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.tags: dict[str, Argument | None] = {}
        values = {role.tag: role.argument for role in roles(node) if role.tag}
        for argument in node.arguments:
            if isinstance(argument, Tag):
                self.tags[argument.name] = values.get(argument.name)
        self.counts = "count" in self.tags and node.is_test

    def match(self) -> str:
        """How is compared: "contains", "is at least"; without a tag "is" (RFC 5228 section 2.7.1)."""
        for name in ("value", "count"):
            if self.tags.get(name) is not None and self.node.is_test:
                relation = strings(self.tags.pop(name))  # type: ignore[arg-type]
                return str(table("words")["relations"].get(relation[0].value.lower() if relation else "", "?"))
        found = [name for name in self.tags if name in table("words")["matches"]]
        for name in found:
            self.tags.pop(name)
        return str(table("words")["matches"][found[0] if found else "is"])

    def part(self) -> str:
        """Which part of an address (RFC 5228 section 2.7.4)."""
        parts = table("words")["parts"]
        found = next((name for name in self.tags if name in parts), "all")
        self.tags.pop(found, None)
        return str(parts[found])

    def tag(self, name: str) -> str:
        argument = self.tags.pop(name, None)
        return self.values(argument) if argument is not None else ""

    def rest(self) -> Iterator[str]:
        """The tags that no other word has said."""
        known = table("words")["tags"] | (table("words")["tags_of_tests"] if self.node.is_test else {})
        for name, argument in self.tags.items():
            value = self.values(argument) if argument is not None else ""
            if name == "comparator":
                said = table("words")["comparators"].get(value.strip("'"), f"compared by {value}")
            elif name in known and ("{}" in known[name]) == bool(value):
                said = known[name].replace("{}", value)
            else:
                said = f":{name} {value}".rstrip()
            if said:
                yield said

    def left(self, template: str) -> Iterator[str]:
        """The arguments that the template has no place for, such as the variable of `addflag`."""
        known = {id(role.argument): role for role in roles(self.node)}
        for argument in self.node.arguments:
            role = known.get(id(argument))
            if isinstance(argument, Tag) or (role is not None and (role.tag or f"{{{role.name}}}" in template)):
                continue
            values = self.values(argument)
            yield f"in the variable {values}" if role is not None and role.name == "variable" else values

    def values(self, argument: Argument) -> str:
        """A test asks for one or another, or for all; a command takes all."""
        if isinstance(argument, Number):
            return argument.text
        between = ", "
        if self.node.is_test:
            between = " and " if self.node.name in table("words")["all_of"] else " or "
        shown = [quoted(string.value) for string in strings(argument)]
        return between.join([*shown[:MOST], f"{len(shown) - MOST} more"] if len(shown) > MOST else shown)


def _unknown(node: Node, depth: int) -> str:
    """A word without a template: its arguments and tests as they stand."""
    said = _Arguments(node)
    found = [f":{a.name}" if isinstance(a, Tag) else said.values(a) for a in node.arguments]
    tests = [f"({', '.join(_test_at(test, depth + 1) for test in node.tests)})"] if node.tests else []
    return " ".join([node.name, *found, *tests])


def quoted(value: str) -> str:
    """On one line; octets that are not UTF-8 by their numbers."""
    cut = value if len(value) < LONGEST else f"{value[: LONGEST - 3]}..."
    text = cut.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "'" + harmless(text.replace("\r\n", "\n").replace("\n", "\\n").replace("\t", "\\t")) + "'"

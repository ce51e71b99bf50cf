"""A script in plain words: what it tests and does, line by line, and which conversion rules have something to say."""

from collections.abc import Iterator

from bascule.sieve.language import roles, table
from bascule.sieve.model import Conversion
from bascule.sieve.syntax import Node, Number, Script, Tag, position

MATCHES = {
    "is": "is", "contains": "contains", "matches": "matches", "regex": "matches the expression", "over": "is over",
    "under": "is under",
}  # fmt: skip


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
    if node.name == "else":
        return "else:"
    template = table("words")["commands"].get(node.name)
    return _filled(template, node) if template else f"{node.name} {_values(node)}".rstrip()


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
    return _filled(template, node) if template else f"{node.name} {_values(node)}".rstrip()


def _filled(template: str, node: Node) -> str:
    """The template's {role} words filled with the arguments of that role; {match} is the kind of comparison."""
    words = {"match": "is", "tags": _tags(node)}
    for argument in node.arguments:
        if isinstance(argument, Tag) and argument.name in MATCHES:
            words["match"] = MATCHES[argument.name]
    for role in roles(node):
        shown = (
            role.argument.text
            if isinstance(role.argument, Number)
            else _listed([s.value for s in role.strings()], node)
        )
        words.setdefault(role.tag or role.name, shown)
    for name in ("header", "key", "mailbox", "redirect", "script", "flags", "text", "variable", "extension", "days"):
        words.setdefault(name, "?")
    return template.format(**words).rstrip()


def _tags(node: Node) -> str:
    known = table("words")["tags"]
    said = [known[a.name] for a in node.arguments if isinstance(a, Tag) and a.name in known]
    return f" ({', '.join(said)})" if said else ""


def _values(node: Node) -> str:
    return ", ".join(
        _listed([string.value for string in role.strings()], node) for role in roles(node) if role.strings()
    )


def _listed(values: list[str], node: Node) -> str:
    """A test asks for one or another, a command takes all."""
    between = " or " if node.is_test else ", "
    shown = [repr(value if len(value) < 80 else value[:77] + "...") for value in values]
    return between.join([*shown[:6], f"{len(shown) - 6} more"] if len(shown) > 6 else shown)

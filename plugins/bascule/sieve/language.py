"""What the words of Sieve mean: which arguments are folder names, header names or addresses, and what needs which
extension.

The table is data (`include/sieve/language.yaml`). A word that it doesn't know is left alone by every rule.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bascule.sieve.syntax import Argument, Node, Script, String, StringList, Tag

DATA = Path(__file__).resolve().parents[3] / "include" / "sieve"


@functools.cache
def table(name: str) -> dict[str, Any]:
    """One file of include/sieve/, read once."""
    return yaml.safe_load((DATA / f"{name}.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Role:
    """One argument of a command or test, and what it means."""

    node: Node
    name: str
    argument: Argument
    tag: str = ""  # the tag that it follows, if any

    def strings(self) -> list[String]:
        """The argument's strings; none when it is a number."""
        return strings(self.argument)


def strings(argument: Argument) -> list[String]:
    """The strings of one argument, whether alone or in a list."""
    if isinstance(argument, String):
        return [argument]
    return argument.items if isinstance(argument, StringList) else []


def description(node: Node) -> dict[str, Any] | None:
    """What the table says of this command or test; None for a word that it doesn't know."""
    return table("language")["tests" if node.is_test else "commands"].get(node.name)


def roles(node: Node) -> list[Role]:
    """The meaning of each argument that is a value (tags without a value are left out)."""
    known = description(node)
    if known is None:
        return []
    found, positional, tag = [], [], ""
    for argument in node.arguments:
        if tag:
            found.append(Role(node, _tag(known, tag)["value"], argument, tag))
            tag = ""
        elif isinstance(argument, Tag):
            tag = argument.name if "value" in _tag(known, argument.name) else ""
        else:
            positional.append(argument)
    names = known.get("args", [])
    # From the last one backwards, since the optional arguments stand first (`setflag [variable] flags`).
    pairs = zip(reversed(names), reversed(positional), strict=False)
    return found + [Role(node, name, argument) for name, argument in reversed(list(pairs))]


def all_roles(script: Script, *names: str) -> Iterator[Role]:
    """Every argument of these roles in the script, in the order of the source."""
    by_name: dict[str, list[Role]] = script.known.get("roles") or script.known.setdefault("roles", _by_name(script))
    found = [role for name in names for role in by_name.get(name, ())]
    return iter(found if len(names) == 1 else sorted(found, key=lambda role: role.argument.start))


def _by_name(script: Script) -> dict[str, list[Role]]:
    found: dict[str, list[Role]] = {}
    for node in script.walk():
        for role in roles(node):
            found.setdefault(role.name, []).append(role)
    return found


def _tag(known: dict[str, Any], name: str) -> dict[str, Any]:
    own: dict[str, Any] = known.get("tags", {})
    return own.get(name) or table("language")["shared_tags"].get(name) or {} if name not in own else own[name]


def required(script: Script) -> list[tuple[Node, String]]:
    """Each extension that the script requires, with the `require` that names it."""
    return [
        (node, string)
        for node in script.commands
        if node.name == "require"
        for argument in node.arguments
        for string in strings(argument)
    ]


def needed(script: Script) -> list[tuple[Node, tuple[str, ...]]]:
    """What each word of the script needs: one of the extensions of each tuple. Guarded parts (`ihave`) are left out."""
    found = []
    for node in _unguarded(script):
        known = description(node)
        if known is None:
            continue
        for needs in _needs(node, known):
            found.append((node, needs))
    return found


def _needs(node: Node, known: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    if "needs" in known:
        yield _alternatives(known["needs"])
    for argument in node.arguments:
        if isinstance(argument, Tag) and "needs" in (tag := _tag(known, argument.name)):
            yield _alternatives(tag["needs"])
    for role in roles(node):
        for string in role.strings() if role.name == "comparator" else []:
            if string.value not in table("language")["free_comparators"]:
                yield (f"comparator-{string.value}",)


def _alternatives(needs: str | list[str]) -> tuple[str, ...]:
    return (needs,) if isinstance(needs, str) else tuple(needs)


def _unguarded(script: Script) -> Iterator[Node]:
    """All nodes but those in the block of an `if` that asks `ihave` (RFC 5463: the test enables the extension)."""
    if not any(node.name == "ihave" for node in script.walk()):
        yield from script.walk()
        return
    guarded: set[int] = set()
    for node in script.walk():
        if id(node) in guarded or (node.parent is not None and id(node.parent) in guarded):
            guarded.add(id(node))
        elif node.block is not None and any(inner.name == "ihave" for test in node.tests for inner in test.walk()):
            guarded.update(id(inner) for inner in node.block)
            yield node
        else:
            yield node

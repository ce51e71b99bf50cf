"""What the words of Sieve mean: which arguments are folder names, header names or addresses, and what needs which
extension.

The table is data (`include/sieve/language.yaml`). A word that it doesn't know is left alone by every rule.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bascule.sieve.syntax import Argument, Node, Script, String, StringList, Tag
from bascule.text import data_file

DATA = Path(__file__).resolve().parents[3] / "include" / "sieve"


@functools.cache
def table(name: str) -> dict[str, Any]:
    """One file of include/sieve/, read once."""
    return data_file.read(DATA / f"{name}.yaml")


@dataclass(frozen=True, slots=True)
class Slot:
    """Where an argument belongs, as the table writes it: its role, its type, whether it may be left out."""

    role: str
    type: Literal["string", "strings", "number"]
    optional: bool


@functools.cache
def slot(written: str) -> Slot:
    """`flags[]?`: a list of flags, or none."""
    optional, bare = written.endswith("?"), written.removesuffix("?")
    if bare.endswith("[]"):
        return Slot(bare.removesuffix("[]"), "strings", optional)
    return Slot(bare.removesuffix("#"), "number" if bare.endswith("#") else "string", optional)


def slots(known: dict[str, Any], count: int) -> list[Slot]:
    """The places of so many positional arguments: as many of those that may be left out are, the first ones first."""
    found = [slot(name) for name in known.get("args", [])]
    for one in [each for each in found if each.optional]:
        if len(found) > count:
            found.remove(one)
    return found


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
            found.append(Role(node, slot(tag_of(known, tag)["value"]).role, argument, tag))
            tag = ""
        elif isinstance(argument, Tag):
            tag = argument.name if "value" in tag_of(known, argument.name) else ""
        else:
            positional.append(argument)
    # From the last one backwards: of a word that is written wrongly, the first argument is the one too many.
    pairs = zip(reversed(slots(known, len(positional))), reversed(positional), strict=False)
    return found + [Role(node, place.role, argument) for place, argument in reversed(list(pairs))]


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


def tag_of(known: dict[str, Any], name: str) -> dict[str, Any]:
    """What the table says of a tag of this word; nothing of one that it doesn't know."""
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


def asked_for(script: Script) -> list[tuple[Node, String]]:
    """Each extension that the script asks the server about, with the `ihave` that does (RFC 5463)."""
    return [
        (node, string)
        for node in script.walk()
        if node.name == "ihave" and node.is_test
        for argument in node.arguments
        for string in strings(argument)
    ]


def enabled(script: Script) -> frozenset[str]:
    """The extensions that may be in force somewhere: required, or asked for (RFC 5463 section 4)."""
    if "enabled" not in script.known:
        named = [string.value for _, string in (*required(script), *asked_for(script))]
        script.known["enabled"] = frozenset(named)
    return script.known["enabled"]


def needed(script: Script) -> list[tuple[Node, tuple[str, ...]]]:
    """What each word of the script needs: one of the extensions of each tuple."""
    known = ((node, description(node)) for node in script.walk())
    return [(node, needs) for node, about in known if about is not None for needs in _needs(node, about)]


def _needs(node: Node, known: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    if "needs" in known:
        yield _alternatives(known["needs"])
    for argument in node.arguments:
        if isinstance(argument, Tag) and "needs" in (tag := tag_of(known, argument.name)):
            yield _alternatives(tag["needs"])
    for role in roles(node):
        for string in role.strings() if role.name == "comparator" else []:
            if string.value not in table("language")["free_comparators"]:
                yield (f"comparator-{string.value}",)
        if role.name == "variable":
            yield ("variables",)


def _alternatives(needs: str | list[str]) -> tuple[str, ...]:
    return (needs,) if isinstance(needs, str) else tuple(needs)

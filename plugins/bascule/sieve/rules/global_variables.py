"""`global` (RFC 6609 section 3.4.1) declares everybody's variables, before they are used."""

from collections.abc import Iterator, Sequence

from bascule.sieve.language import enabled, roles, strings
from bascule.sieve.model import shown
from bascule.sieve.rules.variables import VARIABLE
from bascule.sieve.syntax import Node, Script

DECLARATIONS = ("global", "import", "export")  # the last two are those of the drafts


def late_declarations(script: Script, nodes: Sequence[Node]) -> Iterator[tuple[int, str]]:
    """Where a variable that was used as the script's own is declared as everybody's. `nodes`: in the source's order."""
    if not {"include", "variables"} <= enabled(script):
        return
    used, declared = set[str](), set[str]()
    for node in nodes:
        if node.name not in DECLARATIONS or node.is_test:
            used |= _used(node) - declared
            continue
        for name in (string for argument in node.arguments for string in strings(argument)):
            if name.value.lower() in used:
                yield name.start, f"{shown(name.value)} is used before `{node.name}` declares it"
            declared.add(name.value.lower())


def _used(node: Node) -> set[str]:
    named = {string.value.lower() for role in roles(node) if role.name == "variable" for string in role.strings()}
    in_texts = (string.value for argument in node.arguments for string in strings(argument))
    return named | {name.lower() for text in in_texts for name in VARIABLE.findall(text)}

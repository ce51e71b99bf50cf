"""What no server compiles, though it is Sieve by the generic grammar: the commonest human errors, with their place.

Only what is certain: of words and tags that an extension which the table doesn't know may bring, nothing is said. And
where the new server takes the script all the same, its word counts (`plan.py`).
"""

import difflib
from collections.abc import Iterator
from typing import Any

from bascule.sieve.language import asked_for, description, enabled, slot, slots, table, tag_of
from bascule.sieve.model import Report
from bascule.sieve.reach import reached
from bascule.sieve.rules.global_variables import late_declarations
from bascule.sieve.rules.values import value_errors
from bascule.sieve.syntax import Argument, Node, Number, String, StringList, Tag

RULE = "not-compiling"
TYPES = {"string": "a string", "strings": "a string or a list of strings", "number": "a number"}


def words_in_place(report: Report) -> None:
    """Each error once, in the order of the source."""
    script = report.script
    if asked_for(script):
        return  # a server looks only at what its own extensions let it reach (RFC 5463 section 4)
    every_word_is_known = enabled(script) <= _known_extensions()
    nodes = reached(script)
    on = {id(node) for node in nodes}
    for siblings in [script.commands, *(node.block for node in nodes if node.block)]:
        for offset, message in _order([node for node in siblings if id(node) in on], top=siblings is script.commands):
            report.ask(offset, RULE, message)
    for offset, message in late_declarations(script, nodes):
        report.ask(offset, RULE, message)
    for node in nodes:
        about = description(node)
        if about is None:
            if every_word_is_known and (message := _unknown(node)):
                report.ask(node.start, RULE, message)
            continue
        if missing := _missing_end(node, about, on):
            report.ask(missing[0], RULE, missing[1])
            continue
        found = list(_errors(node, about, every_word_is_known=every_word_is_known))
        values = value_errors(script, node, every_extension_is_known=every_word_is_known)
        for offset, message in found or values:
            report.ask(offset, RULE, message)


def _known_extensions() -> frozenset[str]:
    rules = table("rules")
    comparators = {f"comparator-{name}" for name in table("words")["comparators"]}
    return frozenset({*rules["known_extensions"], *rules["without_words"], *rules["renamed_extensions"], *comparators,
                      "imapflags", "notify"})  # fmt: skip


def _order(siblings: list[Node], *, top: bool) -> Iterator[tuple[int, str]]:
    """`require` stands first, `elsif` and `else` behind an `if` (RFC 5228 sections 3.1 and 3.2)."""
    before = ""
    for node in siblings:
        if node.name == "require" and (not top or before not in ("", "require")):
            yield node.start, "`require` can stand only at the beginning of the script"
        if node.name in ("import", "export") and (not top or before not in ("", "require", "import", "export")):
            yield node.start, f"`{node.name}` can stand only at the beginning of the script, behind `require`"
        if node.name in ("elsif", "else") and before not in ("if", "elsif"):
            yield node.start, f"`{node.name}` stands behind no `if`"
        before = node.name


def _unknown(node: Node) -> str:
    """A word that there is not; or one that is a test where a command must stand, or the other way round."""
    here, there = ("tests", "commands") if node.is_test else ("commands", "tests")
    if node.name in table("language")[there]:
        if node.is_test:
            return ""  # what stands before it is named: its ";" is missing
        return f"`{node.name}` is a test and can stand only behind `if` or in another test"
    near = difflib.get_close_matches(node.name[:50], table("language")[here], n=1)
    hint = f"; is `{near[0]}` meant?" if near else ""
    return f"there is no {here.removesuffix('s')} `{node.name[:50]}`{hint}"


def _errors(node: Node, about: dict[str, Any], *, every_word_is_known: bool) -> Iterator[tuple[int, str]]:
    yield from _tests(node, about)
    if about.get("block") and node.block is None:
        yield (
            node.end - 1,
            f"`{node.name}` needs a block in braces behind it",
        )
    elif node.block is not None and not about.get("block"):
        yield node.start, f"`{node.name}` has no block"
    yield from _tags(node, about)
    if not about.get("loose"):
        yield from _arguments(node, about, every_word_is_known=every_word_is_known)


def _missing_end(node: Node, about: dict[str, Any], on: set[int]) -> tuple[int, str] | None:
    """A command swallows the next one as its test when nothing ends it. `on`: what is not shut off."""
    first = None if node.is_test else _last_test(node)
    if first is None or id(first) not in on:
        return None
    if node.name == "else" and first.name == "if":
        return first.start, "`else if` is written `elsif`"
    if first.name not in table("language")["tests"] and first.name in table("language")["commands"]:
        if about.get("block"):
            return first.start, f"`{node.name}` needs a block in braces before `{first.name}`"
        return first.start, f'a ";" is missing before `{first.name}`, behind `{node.name}`'
    if not about.get("tests"):
        return first.start, f'`{node.name}` has no test: a ";" is missing before `{first.name}`'
    return None


def _last_test(node: Node) -> Node | None:
    """The innermost of those that stand last."""
    found = node.tests[-1] if node.tests else None
    while found is not None and found.tests and found.name in table("language")["tests"]:
        found = found.tests[-1]
    return found


def _tests(node: Node, about: dict[str, Any]) -> Iterator[tuple[int, str]]:
    wanted = about.get("tests")
    if wanted == "one" and (len(node.tests) != 1 or node.in_parentheses):
        several = len(node.tests) > 1 or node.in_parentheses
        more = ": for several there are `anyof (...)` and `allof (...)`" if several else ""
        yield node.start, f"`{node.name}` has one test{more}"
    elif wanted == "list" and not node.in_parentheses:
        yield node.start, f"the tests of `{node.name}` stand in parentheses"
    elif not wanted and node.tests and node.is_test:
        first = node.tests[0]
        number = bool(node.arguments) and isinstance(node.arguments[-1], Number)
        hint = "; a number is followed by K, M or G, or by nothing" if number else ""
        yield first.start, f"`{node.name}` has no test in it: `{first.name[:50]}` can't stand there{hint}"


def _tags(node: Node, about: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Those that stand twice, exclude one another, or stand without the one that they belong to."""
    own, found = about.get("tags", {}), dict[str, Tag]()
    for tag in [argument for argument in node.arguments if isinstance(argument, Tag)]:
        if tag.name in found and _is_tag_of(node, tag, own) and not tag_of(about, tag.name).get("repeats"):
            yield tag.start, f"`:{tag.name}` stands twice"
        found[tag.name] = tag
    shared = [group for group in table("language")["shared_exclusive"] if not {*group} & {*own}]
    for group in [*about.get("exclusive", []), *shared, about.get("one_of", [])]:
        several = sorted((found[name] for name in group if name in found), key=lambda tag: tag.start)
        if len(several) > 1:
            yield several[1].start, f"`:{several[0].name}` and `:{several[1].name}` exclude one another"
    if "one_of" in about and not {*about["one_of"]} & {*found}:
        yield node.start, f"`{node.name}` needs {' or '.join(f'`:{name}`' for name in about['one_of'])}"
    for tag in found.values():
        beside = tag_of(about, tag.name).get("with")
        if beside is not None and beside not in found:
            yield tag.start, f"`:{tag.name}` can stand only together with `:{beside}`"


def _arguments(node: Node, about: dict[str, Any], *, every_word_is_known: bool) -> Iterator[tuple[int, str]]:
    positional: list[Argument] = []
    waiting: Tag | None = None
    own = about.get("tags", {})
    for argument in node.arguments:
        if waiting is not None:
            yield from _of_type(node, f"`:{waiting.name}`", argument, tag_of(about, waiting.name)["value"])
            waiting = None
        elif not isinstance(argument, Tag):
            positional.append(argument)
        elif _is_tag_of(node, argument, own):
            waiting = argument if "value" in tag_of(about, argument.name) else None
        elif every_word_is_known:
            yield argument.start, f"`{node.name}` has no `:{argument.name[:50]}`"
        else:
            return  # whether a value follows can't be known
    if waiting is not None:
        yield waiting.start, f"a value is missing behind `:{waiting.name}`"
    yield from _positional(node, positional, about)


def _is_tag_of(node: Node, tag: Tag, own: dict[str, Any]) -> bool:
    shared = table("language")["shared_tags"]
    compares = node.is_test or node.name in ("denotify", "deleteheader")
    return tag.name in own or (compares and tag.name in shared)


def _positional(node: Node, found: list[Argument], about: dict[str, Any]) -> Iterator[tuple[int, str]]:
    wanted = slots(about, len(found))
    if len(found) != len(wanted):
        how_many = f"{len(wanted)} argument{'s' * (len(wanted) != 1)}"
        yield node.start, f"`{node.name}` has {how_many}, and {len(found)} stand here"
        return
    for argument, place in zip(found, wanted, strict=True):
        written = f"{place.role}{ {'strings': '[]', 'number': '#'}.get(place.type, '') }"
        yield from _of_type(node, f"`{node.name}`", argument, written)


def _of_type(node: Node, whose: str, argument: Argument, written: str) -> Iterator[tuple[int, str]]:
    wanted = slot(written).type
    fits = {"string": isinstance(argument, String), "strings": isinstance(argument, String | StringList),
            "number": isinstance(argument, Number)}  # fmt: skip
    if not fits[wanted]:
        yield argument.start, f"{TYPES[wanted]} must stand here for {whose}"

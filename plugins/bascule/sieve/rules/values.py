"""Values that no server compiles where they stand: addresses, expressions, names of variables, relations, numbers."""

import re
from collections.abc import Callable, Iterator

from bascule.sieve.language import Role, enabled, roles, strings, table
from bascule.sieve.model import shown
from bascule.sieve.rules.encoded_characters import no_character, value_of
from bascule.sieve.rules.expressions import expression_error
from bascule.sieve.rules.uris import mailto_error, scheme
from bascule.sieve.rules.variables import VARIABLE
from bascule.sieve.syntax import Node, Number, Script, Tag

LARGEST = (1 << 64) - 1  # a number of Pigeonhole's; Cyrus has less
NAME = re.compile(r"(?:(?P<namespace>[A-Za-z_][A-Za-z0-9_]*+)\.)?+[A-Za-z_][A-Za-z0-9_.]*+")
MOST_MATCHED = 32  # parts of a match, ${1} to ${32}, in Pigeonhole; RFC 5229 section 3.2 asks for nine
NAMESPACES = {"global": "include", "env": "vnd.dovecot.environment"}  # and the extension that has it
# One address (RFC 5322 section 3.4) as loosely as Pigeonhole reads it: dots anywhere, any words before it.
_BLANK = r"(?:[ \t\r\n]++|\((?:[^()\\]++|\\.)*+\))*+"
_QUOTED = r"\"(?:[^\"\\]++|\\.)*+\""
_LABEL = r"[^\s<>@,;:()\[\]\"\\.]++"
_BARE = (
    rf"{_BLANK}(?:[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.-]++|{_QUOTED}){_BLANK}@"
    rf"{_BLANK}(?:{_LABEL}(?:\.{_LABEL})*+|\[[^\[\]\\]*+\]){_BLANK}"
)
ADDRESS = re.compile(rf"{_BARE}|(?:[^\"<>@,;:()]++|{_QUOTED}|\((?:[^()\\]++|\\.)*+\))*+<{_BARE}>{_BLANK}", re.DOTALL)


def value_errors(script: Script, node: Node, *, every_extension_is_known: bool) -> Iterator[tuple[int, str]]:
    """Where, and what is wrong."""
    names = enabled(script)
    for string in [string for argument in node.arguments for string in strings(argument)]:
        found = no_character(string.value) if "encoded-character" in names else ""
        if found:
            yield string.start, f"{shown(found)} is no character of Unicode"
        for name in VARIABLE.findall(string.value) if "variables" in names else []:
            message = _part_of_match(name) or (_namespace(name, names) if every_extension_is_known else "")
            if message:
                yield string.start, message
    for role in roles(node):
        check = _CHECKS.get(role.name)
        for string in role.strings() if check else []:
            value, varies = value_of(script, string), "variables" in names and VARIABLE.search(string.value) is not None
            message = check(role, value, varies) if check else ""
            if not message and role.name == "variable" and every_extension_is_known:
                message = _namespace(value, names)
            if message:
                yield string.start, message
        if isinstance(role.argument, Number) and (message := _number(role, role.argument)):
            yield role.argument.start, message
    if node.name == "break" and not node.is_test:
        yield from _break(node)


def _address(role: Role, value: str, varies: bool) -> str:
    listed = any(isinstance(argument, Tag) and argument.name == "list" for argument in role.node.arguments)
    if varies or listed or role.tag == "addresses" or ADDRESS.fullmatch(value):
        return ""
    return f"{shown(value)} is not one address"


def _method(role: Role, value: str, varies: bool) -> str:
    """A notification's URI, and what stands in one of `mailto:`."""
    if varies or role.node.is_test:
        return ""
    method = scheme(value)
    if not method:
        return f"{shown(value)} is no URI: `mailto:` or another method must stand before it"
    return mailto_error(value, ADDRESS) if method == "mailto" else ""


def _key(role: Role, value: str, varies: bool) -> str:
    is_expression = any(isinstance(argument, Tag) and argument.name == "regex" for argument in role.node.arguments)
    message = expression_error(value) if is_expression and not varies else ""
    return f"{shown(value)} is no regular expression: {message}" if message else ""


def _relation(role: Role, value: str, varies: bool) -> str:
    relations = table("words")["relations"]
    return "" if value.lower() in relations else f"`:{role.tag}` has one of {', '.join(relations)}, not {shown(value)}"


def _importance(role: Role, value: str, varies: bool) -> str:
    return "" if varies or value in ("1", "2", "3") else f"`:importance` is 1, 2 or 3, not {shown(value)}"


def _variable(role: Role, value: str, varies: bool) -> str:
    return "" if NAME.fullmatch(value) else f"{shown(value)} can't be a variable's name"


def _part_of_match(name: str) -> str:
    if not name.isdigit() or int(name[:30]) <= MOST_MATCHED:
        return ""
    return f"${{{name[:30]}}} is no part of a match: the last one is ${{{MOST_MATCHED}}}"


def _namespace(name: str, extensions: frozenset[str]) -> str:
    found = NAME.fullmatch(name)
    space = found["namespace"] if found else None
    if space is None or NAMESPACES.get(space.lower()) in extensions:
        below = space is not None and space.lower() == "global" and name.count(".") > 1
        return f"{shown(name)}: `global.` is followed by one name without a dot" if below else ""
    return f"there are no variables {shown(f'{space}.')} here"


def _script(role: Role, value: str, varies: bool) -> str:
    if varies:
        return "what is included must be named without variables"
    return f"{shown(value)} can't be a script's name" if not value or "/" in value else ""


def _envelope_part(role: Role, value: str, varies: bool) -> str:
    return "" if varies or value.lower() in table("language")["envelope_parts"] else f"no envelope has {shown(value)}"


def _header(role: Role, value: str, varies: bool) -> str:
    without = role.node.name == "address" and value.lower() in table("language")["without_addresses"]
    return f"{shown(value)} has no addresses: it can't be compared by `address`" if without else ""


_CHECKS: dict[str, Callable[[Role, str, bool], str]] = {
    "redirect": _address, "own-address": _address, "method": _method, "relation": _relation,
    "importance": _importance, "variable": _variable, "script": _script, "envelope": _envelope_part,
    "header": _header, "key": _key, "flags": _key,
}  # fmt: skip


def _number(role: Role, number: Number) -> str:
    if len(number.text) > 30 or number.value > LARGEST:
        return f"{number.text[:30]} is too large a number"
    return "`:index` counts from 1" if role.tag == "index" and not number.value else ""


def _break(node: Node) -> Iterator[tuple[int, str]]:
    """`break` leaves a loop around it, or the one that it names (RFC 5703 section 3.2)."""
    wanted = _loop_name(node)
    above = node.parent
    while above is not None and not (above.name == "foreverypart" and wanted in (None, _loop_name(above))):
        above = above.parent
    if above is None:
        yield node.start, f"`break` stands in no loop{f' of the name {shown(wanted)}' if wanted is not None else ''}"


def _loop_name(node: Node) -> str | None:
    return next((string.value for role in roles(node) if role.tag == "name" for string in role.strings()), None)

"""procmail's regular expressions (procmailrc(5), "Extended regular expressions") as tests of Sieve.

A condition is looked for in the whole header, a header is tested in Sieve by its value. So only conditions that begin
at a header's name can be carried. They are exact for headers in their usual form: one blank behind the colon, none at
the end, not folded inside of what is looked for; and Sieve compares what RFC 2047 encodes after decoding it.
"""

import re
from dataclasses import dataclass, field

from bascule.sieve.syntax import quote

MOST_NAMES, MOST_KEYS, MOST_WAYS, DEEPEST = 30, 30, 50, 30
LONGEST = 2000  # characters
BLANKS = (" ", "[ ]", "[ \t]", "[\t ]")
NO_WORD = "[^a-zA-Z0-9_]"
_TO = "^((Original-)?(Resent-)?(To|Cc|Bcc)|(X-Envelope|Apparently(-Resent)?)-To):"
MACROS = (("^TO_", rf"({_TO}(.*[^-a-zA-Z0-9_.])?)"), ("^TO", rf"({_TO}(.*[^a-zA-Z])?)"))
WILDCARD = re.compile(r"[*?\\]")  # of `:matches` (RFC 5228 section 2.7.1)
SPECIAL = re.compile(r"[\\.\[\](){}*+?|^$]")  # of POSIX extended regular expressions


class NotCarried(Exception):
    """Raised when there is no exact counterpart; says why, as the end of a sentence."""


@dataclass(frozen=True)
class Node:
    """One part of an expression. `kind`: char, any, class, start, end, group; `quantifier`: "", "*", "+" or "?"."""

    kind: str
    text: str = ""
    branches: "tuple[tuple[Node, ...], ...]" = field(default=())
    quantifier: str = ""


Sequence = tuple[Node, ...]
ANYTHING = Node("any", ".", quantifier="*")


def as_test(condition: str) -> tuple[str, bool]:
    """The test of Sieve, and whether it needs the extension `regex`. Raises NotCarried."""
    for macro, meaning in MACROS:
        condition = condition.replace(macro, meaning)
    if len(condition) > LONGEST:
        raise NotCarried("it is too long")
    if not condition.isascii():
        raise NotCarried("it has other characters than ASCII, which procmail compares octet by octet")
    tests = [_branch(branch) for branch in _parse(condition)]
    test = tests[0][0] if len(tests) == 1 else f"anyof ({', '.join(each for each, _ in tests)})"
    return test, any(regex for _, regex in tests)


# -- reading


def _parse(expression: str) -> tuple[Sequence, ...]:
    branches, rest = _alternatives(expression, 0)
    if rest:
        raise NotCarried('a ")" too many stands in it')
    return branches


def _alternatives(expression: str, depth: int) -> tuple[tuple[Sequence, ...], str]:
    """The branches up to the end or a ")", and what stands from there on."""
    if depth > DEEPEST:
        raise NotCarried("its parentheses are nested too deeply")
    branches: list[Sequence] = []
    found: list[Node] = []
    rest = expression
    while rest and rest[0] != ")":
        if rest[0] == "|":
            branches.append(tuple(found))
            found, rest = [], rest[1:]
            continue
        node, rest = _atom(rest, depth)
        if rest[:1] in ("*", "+", "?") and rest[:1]:
            node, rest = Node(node.kind, node.text, node.branches, rest[0]), rest[1:]
            if rest[:1] in ("*", "+", "?") and rest[:1]:
                raise NotCarried(f"{rest[0]!r} can't stand there")
        found.append(node)
    return (*branches, tuple(found)), rest


def _atom(rest: str, depth: int) -> tuple[Node, str]:
    first = rest[0]
    if first == "(":
        branches, rest = _alternatives(rest[1:], depth + 1)
        if not rest:
            raise NotCarried('a ")" is missing in it')
        return Node("group", branches=branches), rest[1:]
    if first == "[":
        found = _CLASS.match(rest)
        if found is None or "[" in found[0][1:]:
            raise NotCarried("its brackets can't be read")
        return Node("class", found[0]), rest[found.end() :]
    if first == "\\":
        return _escaped(rest)
    if first in "*+?":
        raise NotCarried(f"{first!r} can't stand there")
    kind = {".": "any", "^": "start", "$": "end"}.get(first, "char")
    return Node(kind, first), rest[1:]


def _escaped(rest: str) -> tuple[Node, str]:
    if rest[1:2] in ("", "/"):
        raise NotCarried(
            "`\\/` remembers what was found, and Sieve has no use for it" if rest[1:2] else "it ends in `\\`"
        )
    if rest[1] == "<":
        return Node("class", NO_WORD), rest[2:]
    if rest[1] == ">":
        return Node("group", branches=((Node("class", NO_WORD),), (Node("end"),))), rest[2:]
    return Node("char", rest[1]), rest[2:]


_CLASS = re.compile(r"\[\^?\]?[^\]]*\]")


# -- headers' names and what is looked for behind them


def _branch(branch: Sequence) -> tuple[str, bool]:
    pieces = _flat(branch)
    if not pieces or pieces[0].kind != "start":
        raise NotCarried("it is looked for anywhere in the header, and Sieve tests one header after the other")
    colon = next((at for at, node in enumerate(pieces) if (node.kind, node.text) == ("char", ":")), None)
    if colon is None or pieces[colon].quantifier:
        raise NotCarried("it names no header up to its colon")
    names = list(dict.fromkeys(_strings(pieces[1:colon], MOST_NAMES)))
    if not names or not all(re.fullmatch(r"[!-9;-~]+", name) for name in names):
        raise NotCarried("it names no header up to its colon")
    shown = quote(names[0]) if len(names) == 1 else "[" + ", ".join(quote(name) for name in names) + "]"
    return _value_test(shown, len(names), pieces[colon + 1 :])


def _flat(branch: Sequence) -> Sequence:
    """Groups of one alternative, once, are no groups."""
    found: list[Node] = []
    for node in branch:
        plain = node.kind == "group" and len(node.branches) == 1 and not node.quantifier
        found += _flat(node.branches[0]) if plain else [node]
    return tuple(found)


def _strings(pieces: Sequence, most: int) -> list[str]:
    """All texts that the expression can be. Raises NotCarried when they are too many, or without end."""
    found = [""]
    for node in pieces:
        if node.kind == "char" and not node.quantifier:
            own = [node.text]
        elif node.kind == "group" and node.quantifier in ("", "?"):
            own = [text for branch in node.branches for text in _strings(branch, most)]
            own += [""] if node.quantifier else []
        else:
            raise NotCarried("it is no plain text")
        found = [text + more for text in found for more in own]
        if len(found) > most:
            raise NotCarried(f"it stands for more than {most} texts")
    return found


def _value_test(names: str, count: int, rest: Sequence) -> tuple[str, bool]:
    if not rest or rest == (ANYTHING,):
        return (f"exists {names}" if count == 1 else f"anyof ({_each_exists(names)})"), False
    plain = _plain_test(names, rest)
    if plain is not None:
        return plain, False
    return f"header :regex {names} {quote(_regex_of_value(rest))}", True


def _each_exists(names: str) -> str:
    return ", ".join(f"exists {name}" for name in names.strip("[]").split(", "))


def _plain_test(names: str, rest: Sequence) -> str | None:
    """`:contains`, `:matches` or `:is`, where that is all that is asked for."""
    anywhere = rest[0] == ANYTHING
    looked_for = rest[1:] if anywhere else _behind_the_blank(rest)
    if looked_for is None or (anywhere and _after_blank(looked_for)):
        return None  # what is looked for may begin with the blank behind the colon
    at_end = bool(looked_for) and looked_for[-1].kind == "end"
    pattern = _pattern(looked_for[:-1] if at_end else looked_for)
    if pattern is not None and _only_text(looked_for[:-1] if at_end else looked_for) is None:
        head, tail = "*" * anywhere, "" if at_end else "*"
        return f"header :matches {names} {quote(head + pattern + tail)}"
    try:
        texts = _strings(looked_for[:-1] if at_end else looked_for, MOST_KEYS)
    except NotCarried:
        return None
    if not all(texts) or any(text != text.strip() for text in texts):
        return None
    match = {(True, False): ":contains", (False, True): ":is"}.get((anywhere, at_end), ":matches")
    if match == ":matches":
        texts = ["*" * anywhere + WILDCARD.sub(r"\\\g<0>", text) + "*" * (not at_end) for text in texts]
    keys = quote(texts[0]) if len(texts) == 1 else "[" + ", ".join(map(quote, texts)) + "]"
    return f"header {match} {names} {keys}"


def _only_text(pieces: Sequence) -> str | None:
    return None if any(node.kind == "any" for node in pieces) else ""


def _pattern(pieces: Sequence) -> str | None:
    """The key of `:matches`: text, any character, any characters."""
    found = ""
    for node in pieces:
        if node.kind == "char" and not node.quantifier:
            found += WILDCARD.sub(r"\\\g<0>", node.text)
        elif node.kind == "any" and node.quantifier in ("", "*", "+"):
            found += {"": "?", "*": "*", "+": "?*"}[node.quantifier]
        else:
            return None
    return found if found.strip("*") and found == found.strip() else None


def _behind_the_blank(rest: Sequence) -> Sequence | None:
    """What is looked for from the value's beginning, where there is one way only to it."""
    ways = _after_blank(rest)
    return _without_blanks(ways[0]) if len(ways) == 1 else None


def _without_blanks(way: Sequence) -> Sequence:
    """A value begins with no blank: those that may be there are not."""
    while way and way[0].quantifier in ("*", "?") and way[0].text in BLANKS:
        way = way[1:]
    return way


# -- the value begins behind the blank that stands behind the colon: the derivative by that blank


def _after_blank(rest: Sequence) -> list[Sequence]:
    """The sequences that match what follows when the first character was a blank; none: it can't begin with one."""
    if not rest:
        return []
    node, tail = rest[0], rest[1:]
    found: list[Sequence] = []
    if node.quantifier in ("*", "+"):
        again = (Node(node.kind, node.text, node.branches, "*"),)
        found += [(*first, *again, *tail) for first in _once_after_blank(node)]
    else:
        found += [(*first, *tail) for first in _once_after_blank(node)]
    if node.quantifier in ("*", "?") or node.kind == "start" or (node.kind == "group" and _may_be_empty(node)):
        found += _after_blank(tail)
    if len(found) > MOST_WAYS:
        raise NotCarried("it begins in too many ways")
    return list(dict.fromkeys(found))


def _once_after_blank(node: Node) -> list[Sequence]:
    if node.kind == "group":
        return [first for branch in node.branches for first in _after_blank(branch)]
    takes = {"char": node.text == " ", "any": True, "class": node.kind == "class" and _takes_blank(node.text)}
    return [()] if takes.get(node.kind) else []


def _may_be_empty(node: Node) -> bool:
    if node.quantifier in ("*", "?"):
        return True
    return node.kind == "group" and any(all(map(_may_be_empty, branch)) for branch in node.branches)


def _takes_blank(brackets: str) -> bool:
    body = brackets[1:-1]
    negated = body.startswith("^")
    body = body[negated:]
    ranges = re.findall(r"(.)-(.)", body)
    inside = " " in body or any(low <= " " <= high for low, high in ranges)
    return inside != negated


# -- as a regular expression of Sieve (draft-ietf-sieve-regex), which is POSIX's


def _regex_of_value(rest: Sequence) -> str:
    """An expression for the value; what stands before it can't be seen."""
    if rest[0] == ANYTHING:
        own, begins = rest[1:], _after_blank(rest[1:])
        if not own:
            return ".*"
        return "|".join([_text(own), *(f"^{_text(begin)}" for begin in begins)])
    ways = _after_blank(rest)
    if not ways:
        raise NotCarried("it matches only where no blank stands behind the colon, which is rarely so")
    return "|".join(dict.fromkeys(f"^{_text(_without_blanks(way))}" for way in ways))


def _text(pieces: Sequence) -> str:
    return "".join(_piece(node) for node in pieces)


def _piece(node: Node) -> str:
    if node.kind == "group":
        text = "(" + "|".join(_text(branch) for branch in node.branches) + ")"
    elif node.kind == "char":
        text = SPECIAL.sub(r"\\\g<0>", node.text)
    else:
        text = {"any": ".", "start": "^", "end": "$"}.get(node.kind, node.text)
    if node.kind in ("start", "end") and node.quantifier:
        raise NotCarried(f"{node.quantifier!r} can't stand there")
    if node.kind == "start":
        raise NotCarried("it looks for the beginning of a line in the middle of another one")
    return text + node.quantifier

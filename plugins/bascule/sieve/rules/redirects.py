"""Servers limit to how many addresses one script may send a message (MAXREDIRECTS of RFC 5804)."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from bascule.sieve.language import all_roles
from bascule.sieve.model import Context, Report
from bascule.sieve.parser import parse_leniently
from bascule.sieve.rules.includes import includes, is_global
from bascule.sieve.syntax import Node, Script, SieveSyntaxError

DEEPEST = 10  # of scripts that include scripts, as Pigeonhole allows by default


def too_many_redirects(report: Report) -> None:
    """More redirections on one way through the script than the new server does for one message."""
    limit = report.context.redirects
    if limit is None:
        return
    counted = _Counted(report.context)
    most = counted.most(report.script)
    if most <= limit:
        return
    old = report.context.old_redirects
    before = "" if old is None else f"; the old server allows {old}"
    message = (
        f"may redirect one message to {most} addresses, and the new server allows {limit}{before}: it would fail there "
        "and keep the message. Raise `sieve_max_redirects` on the new server, or use a list's address"
    )
    first = next(node for node in report.script.walk() if node.name in ("redirect", "include"))
    report.ask(first.start, "too-many-redirects", message)


@dataclass(frozen=True)
class _Ways:
    """The most redirections on a way through some commands: of those that go on behind them (None: none does), of
    all."""

    on: int | None
    all: int


class _Counted:
    """Counts the redirections of a script and of those that it includes, each of which is counted once."""

    def __init__(self, context: Context, known: dict[tuple[str, bool], int] | None = None, depth: int = 0) -> None:
        self.context, self.depth = context, depth
        self.known = {} if known is None else known  # an included script (everybody's or not) -> its redirections
        self.inside: dict[int, int] = {}  # an `include` -> redirections of what it includes
        self.ways: dict[int, _Ways] = {}  # a command with a block -> the ways through that block

    def most(self, script: Script) -> int:
        """How many addresses the script may redirect one message to: the same address again is not sent to again."""
        addresses = [string.value for role in all_roles(script, "redirect") for string in role.strings()]
        for role, string in includes(script):
            self.inside[id(role.node)] = self._included(string.value, everybodys=is_global(role))
        different = len(set(addresses)) + sum("${" in address for address in addresses) + sum(self.inside.values())
        if not different:
            return 0
        nodes = [node for node in script.walk() if node.block is not None]
        for node in reversed(nodes):  # what is inside comes first
            self.ways[id(node)] = self._through(node.block or [])
        return min(different, self._through(script.commands).all)

    def _included(self, name: str, *, everybodys: bool) -> int:
        texts: Mapping[str, str] | None = self.context.global_scripts if everybodys else self.context.scripts
        key = name, everybodys
        if self.depth >= DEEPEST:
            return 0
        if key not in self.known:
            self.known[key] = 0  # what includes itself has no end
            with contextlib.suppress(SieveSyntaxError):  # such a script is a problem of its own, and is not carried
                self.known[key] = self._deeper().most(parse_leniently((texts or {}).get(name, "")))
        return self.known[key]

    def _deeper(self) -> "_Counted":
        return _Counted(self.context, self.known, self.depth + 1)

    def _through(self, commands: list[Node]) -> _Ways:
        on, most = 0, 0
        for chain in _chains(commands):
            first = chain[0]
            if first.name in ("stop", "return"):
                return _Ways(None, max(most, on))
            ways = [self.ways.get(id(node), _Ways(self._alone(node), self._alone(node))) for node in chain]
            if first.block is not None and chain[-1].name != "else":
                ways.append(_Ways(0, 0))  # when no test is true
            most = max(most, on + max(way.all for way in ways))
            going_on = [way.on for way in ways if way.on is not None]
            if not going_on:
                return _Ways(None, most)
            on += max(going_on)
        return _Ways(on, max(most, on))

    def _alone(self, node: Node) -> int:
        return 1 if node.name == "redirect" else self.inside.get(id(node), 0)


def _chains(commands: list[Node]) -> list[list[Node]]:
    """Each command alone, but `if` together with its `elsif`s and `else`."""
    found: list[list[Node]] = []
    for node in commands:
        if node.name in ("elsif", "else") and found:
            found[-1].append(node)
        else:
            found.append([node])
    return found

"""What a compiler looks at: not what stands behind `if false` or in the `else` of `if true`, where Pigeonhole takes any
word."""

from collections.abc import Sequence

from bascule.sieve.syntax import Node, Script


def reached(script: Script) -> Sequence[Node]:
    """The commands and tests that are not shut off by constant tests, in the order of the source."""
    if "reached" not in script.known:
        script.known["reached"] = _Reach(script).nodes
    found: Sequence[Node] = script.known["reached"]
    return found


class _Reach:
    def __init__(self, script: Script) -> None:
        nodes = script.walk()
        self.constant: dict[int, bool] = {}  # the value of a test that has always the same
        self.off: set[int] = set()  # what is shut off
        self.closed: set[int] = set()  # commands whose blocks are
        for node in reversed(nodes):  # what is inside comes first
            self._evaluate(node)
        for siblings in [script.commands, *(node.block for node in nodes if node.block)]:
            self._follow(siblings)
        self.nodes = [node for node in nodes if not self._is_off(node)]

    def _evaluate(self, node: Node) -> None:
        inside = [self.constant.get(id(test)) for test in node.tests]
        if node.name in ("true", "false"):
            self.constant[id(node)] = node.name == "true"
        elif node.name == "not" and len(inside) == 1 and inside[0] is not None:
            self.constant[id(node)] = not inside[0]
        elif node.name in ("allof", "anyof") and inside:
            decides = node.name == "anyof"  # the value of one test that settles it
            if decides in inside:
                self.constant[id(node)] = decides
                self.off.update(id(test) for test in node.tests[inside.index(decides) + 1 :])
            elif None not in inside:
                self.constant[id(node)] = not decides

    def _follow(self, siblings: list[Node]) -> None:
        taken = False  # whether a branch before it always is
        for node in siblings:
            taken = taken and node.name in ("elsif", "else")
            if taken:
                self.closed.add(id(node))
                self.off.update(id(test) for test in node.tests if node.name == "elsif")
            elif node.name in ("if", "elsif") and len(node.tests) == 1:
                value = self.constant.get(id(node.tests[0]))
                if value is False:
                    self.closed.add(id(node))
                taken = value is True

    def _is_off(self, node: Node) -> bool:
        above = id(node.parent)
        if above in self.off or (not node.is_test and above in self.closed):
            self.off.add(id(node))
        return id(node) in self.off

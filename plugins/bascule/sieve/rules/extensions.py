"""`require`: extensions renamed, missing, superfluous, and those that the new server lacks."""

from bascule.sieve.language import needed, required, strings, table
from bascule.sieve.model import Edit, Report
from bascule.sieve.syntax import Node, String, StringList, comments, quote


def requires(report: Report) -> None:
    """Bring the `require` lines in line with what the script needs on the new server; leave them alone if they are."""
    lines = _RequireLines(report)
    lines.rename()
    lines.drop_superfluous()
    lines.remove()
    lines.add_what_rules_need()
    lines.ask_for_missing()
    lines.ask_for_unavailable()


class _RequireLines:
    def __init__(self, report: Report) -> None:
        self.report = report
        self.required = required(report.script)
        self.needed = needed(report.script)
        self.wanted = {self.new_name(string.value) for _, string in self.required}
        self.dropped: list[tuple[String, str, str]] = []  # string, rule, reason
        self.removed: set[int] = set()  # starts of `require` commands that go altogether

    def new_name(self, extension: str) -> str:
        return self.report.renamed_extensions.get(extension, extension)

    def rename(self) -> None:
        there = {string.value for _, string in self.required}
        for _, string in self.required:
            new = self.new_name(string.value)
            if new == string.value:
                continue
            reason = f"`{string.value}` is `{new}` now"
            if new in there:
                self.dropped.append((string, "extension-renamed", reason))
            else:
                self.report.edit(string.start, string.end, quote(new), "extension-renamed", reason)
                there.add(new)

    def drop_superfluous(self) -> None:
        """What nothing uses goes only if the new server lacks it: else it does no harm."""
        used = {self.new_name(name) for _, names in self.needed for name in names}
        for _, string in self.required:
            name = string.value
            silent = name in table("rules")["without_words"]
            if self._lacks(name) and name in table("rules")["known_extensions"] and name not in used and not silent:
                self.dropped.append(
                    (string, "require-superfluous", f"nothing uses `{name}`, and the new server lacks it")
                )

    def remove(self) -> None:
        gone = {id(string): (rule, reason) for string, rule, reason in self.dropped}
        for node in self.report.script.commands:
            argument = node.arguments[0] if node.name == "require" and node.arguments else None
            items = strings(argument) if argument else []
            if not any(id(item) in gone for item in items):
                continue
            if all(id(item) in gone for item in items):
                self.removed.add(node.start)
                self.report.edit(
                    node.start, self._line_end(node), self._kept(node.start, node.end), *gone[id(items[0])]
                )
            else:
                self._remove_from_list(items, gone)

    def _remove_from_list(self, items: list[String], gone: dict[int, tuple[str, str]]) -> None:
        """Each item with the comma before it; with the one after it where no item stays before it."""
        any_before = False
        for at, item in enumerate(items):
            if id(item) not in gone:
                any_before = True
            elif any_before:
                kept = self._kept(items[at - 1].end, item.end)
                self.report.edit(items[at - 1].end, item.end, kept and f" {kept}", *gone[id(item)])
            else:
                kept = self._kept(item.start, items[at + 1].start)
                self.report.edit(item.start, items[at + 1].start, kept, *gone[id(item)])

    def _kept(self, start: int, end: int) -> str:
        """What people wrote there for themselves."""
        return comments(self.report.script.text, start, end)

    def _line_end(self, node: Node) -> int:
        text = self.report.script.text
        end = node.end
        while end < len(text) and text[end] in " \t":
            end += 1
        if text.startswith("\r\n", end):
            return end + 2
        return end + 1 if text.startswith("\n", end) else node.end

    def add_what_rules_need(self) -> None:
        for extension, why in self.report.added_extensions.items():
            if extension not in self.wanted:
                self.report.edits.append(self._addition(extension, "require-added", why))
                self.wanted.add(extension)

    def ask_for_missing(self) -> None:
        """A word without its extension: the script has never compiled on a strict server, so a person is asked."""
        there = self.wanted | {
            implied for name in self.wanted for implied in table("language")["implies"].get(name, [])
        }
        for node, alternatives in self.needed:
            names = [self.new_name(name) for name in alternatives]
            if any(name in there for name in names):
                continue
            there.add(names[0])
            message = (
                f"`{node.name}` needs `require {quote(names[0])}`, which is missing: a strict server refuses the filter"
            )
            self.report.ask(
                node.start, "require-missing", message, self._addition(names[0], "require-missing", message)
            )

    def ask_for_unavailable(self) -> None:
        dropped = {id(string) for string, _, _ in self.dropped}
        for _, string in self.required:
            name = self.new_name(string.value)
            if id(string) not in dropped and self._lacks(name):
                message = f"the new server has no `{name}`, which this filter requires"
                self.report.ask(string.start, "extension-unavailable", message)

    def _lacks(self, name: str) -> bool:
        offered = self.report.context.extensions
        free = {f"comparator-{name}" for name in table("language")["free_comparators"]}
        return offered is not None and name not in offered and name not in free

    def _addition(self, extension: str, rule: str, reason: str) -> Edit:
        """Behind the last item of the last list, or as a line of its own."""
        text = self.report.script.text
        newline = "\r\n" if "\r\n" in text else "\n"
        lines = [node for node in self.report.script.commands if node.name == "require" and node.arguments]
        if not lines:
            start = self.report.script.commands[0].start
            return Edit(start, start, f"require {quote(extension)};{newline}", rule, reason)
        last, argument = lines[-1], lines[-1].arguments[0]
        if isinstance(argument, StringList) and last.start not in self.removed:
            end = argument.items[-1].end
            return Edit(end, end, f", {quote(extension)}", rule, reason)
        end = self._line_end(last)
        after_line = end > last.end
        return Edit(
            end,
            end,
            f"{'' if after_line else newline}require {quote(extension)};{newline if after_line else ''}",
            rule,
            reason,
        )

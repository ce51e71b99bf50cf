"""`require`: extensions renamed, missing, superfluous, and those that the new server lacks."""

import difflib

from bascule.sieve.language import asked_for, needed, required, strings, table
from bascule.sieve.model import Edit, Report, shown
from bascule.sieve.parser import comments
from bascule.sieve.reach import reached
from bascule.sieve.rules.lists import remove_items
from bascule.sieve.syntax import Node, String, StringList, quote

CONFLICT = "require-conflict"
REPLACED = ("imapflags", "notify")  # which Pigeonhole takes only without what took their place


def requires(report: Report) -> None:
    """Bring the `require` lines in line with what the script needs on the new server; leave them alone if they are."""
    lines = _RequireLines(report)
    lines.rename()
    lines.rename_asked_for()
    lines.drop_superfluous()
    lines.remove()
    lines.ask_for_conflicts()
    lines.add_what_rules_need()
    lines.ask_for_missing()
    lines.ask_for_unavailable()
    lines.ask_for_unknown()
    lines.tell_of_asked_for()


class _RequireLines:
    def __init__(self, report: Report) -> None:
        self.report = report
        self.required = required(report.script)
        self.asked_for = asked_for(report.script)
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
                rule = CONFLICT if string.value in REPLACED else "extension-renamed"
                self.dropped.append((string, rule, reason))
            else:
                self.report.edit(string.start, string.end, quote(new), "extension-renamed", reason)
                there.add(new)

    def rename_asked_for(self) -> None:
        for _, string in self.asked_for:
            new = self.new_name(string.value)
            if new != string.value:
                reason = f"`{string.value}` is `{new}` now"
                self.report.edit(string.start, string.end, quote(new), "extension-renamed", reason)

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
                remove_items(self.report, items, gone)

    def ask_for_conflicts(self) -> None:
        """Both names of what was replaced: a Pigeonhole refused the filter, so none of its rules ever ran there."""
        repair = [edit for edit in self.report.edits if edit.rule == CONFLICT]
        if repair:
            self.report.edits[:] = [edit for edit in self.report.edits if edit.rule != CONFLICT]
            both = "; ".join(dict.fromkeys(edit.reason for edit in repair))
            message = f"both names can't be required together, a strict server refuses the filter ({both})"
            self.report.ask(repair[0].start, CONFLICT, message, *repair)

    def _kept(self, start: int, end: int) -> str:
        """What people wrote there for themselves."""
        return comments(self.report.script, start, end)

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
        there = self._with_implied(self.wanted)
        asked = iter([*self.asked_for, None])
        next_asked = next(asked)
        on = {id(node) for node in reached(self.report.script)}
        for node, alternatives in self.needed:
            # `ihave` puts them in force for all that stands behind it (RFC 5463 section 4).
            while next_asked is not None and next_asked[0].start < node.start:
                there |= self._with_implied({self.new_name(next_asked[1].value)})
                next_asked = next(asked)
            names = [self.new_name(name) for name in alternatives]
            if id(node) not in on or any(name in there for name in names):
                continue
            there.add(names[0])
            message = (
                f"`{node.name}` needs `require {quote(names[0])}`, which is missing: a strict server refuses the filter"
            )
            self.report.ask(node.start, "require-missing", message, self._naming(names[0], message))

    def _naming(self, extension: str, reason: str) -> Edit:
        """Names of extensions are compared letter by letter (RFC 5228 section 2.7.3)."""
        for _, string in self.required:
            if string.value.lower() == extension:
                return Edit(string.start, string.end, quote(extension), "require-missing", reason)
        return self._addition(extension, "require-missing", reason)

    @staticmethod
    def _with_implied(names: set[str]) -> set[str]:
        return names | {implied for name in names for implied in table("language")["implies"].get(name, [])}

    def ask_for_unavailable(self) -> None:
        dropped = {id(string) for string, _, _ in self.dropped}
        for _, string in self.required:
            name = self.new_name(string.value)
            if id(string) not in dropped and self._lacks(name):
                message = f"the new server has no `{name}`, which this filter requires"
                self.report.ask(string.start, "extension-unavailable", message)

    def ask_for_unknown(self) -> None:
        """Where no server is asked: what nobody has registered. Vendors have more of their own."""
        if self.report.context.extensions is not None:
            return
        rules = table("rules")
        there = [*rules["known_extensions"], *rules["without_words"], *rules["other_extensions"], *REPLACED]
        mended = {edit.start for finding in self.report.findings for edit in finding.repair}
        for _, string in self.required:
            name = self.new_name(string.value)
            if name in there or name.startswith(("vnd.", "x-", "comparator-i;")) or string.start in mended:
                continue
            near = difflib.get_close_matches(name[:50].lower(), there, n=1)
            hint = f"; is `{near[0]}` meant?" if near else ""
            self.report.ask(string.start, "not-compiling", f"there is no extension {shown(name)}{hint}")

    def tell_of_asked_for(self) -> None:
        """What stands behind `ihave` acts only where the server has the extension, and nobody hears of it."""
        old = self.report.context.old_extensions
        for _, string in self.asked_for:
            name = self.new_name(string.value)
            on_old = old is None or string.value in old
            if self._lacks(name) and on_old:
                message = f"`ihave` asks for `{name}`, which the new server lacks: what depends on it acts no more"
                self.report.ask(string.start, "extension-asked-for", message)
            elif self.report.context.extensions is not None and not self._lacks(name) and not on_old:
                message = (
                    f"`ihave` asks for `{name}`, which the old server lacks and the new one has: what depends on it "
                )
                self.report.ask(string.start, "extension-asked-for", f"{message}acts for the first time")

    def _lacks(self, name: str) -> bool:
        free = {f"comparator-{name}" for name in table("language")["free_comparators"]}
        return self.report.lacks(name) and name not in free

    def _addition(self, extension: str, rule: str, reason: str) -> Edit:
        """Behind the last item of the last list, or as a line of its own."""
        newline = self.report.script.newline
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

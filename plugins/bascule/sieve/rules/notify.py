"""`notify` (draft-martin-sieve-notify) became `enotify` (RFC 5435), with the method `mailto:` (RFC 5436)."""

import re
from urllib.parse import quote as percent

from bascule.sieve.language import all_roles, enabled, strings
from bascule.sieve.model import Report, shown
from bascule.sieve.parser import comments
from bascule.sieve.reach import reached
from bascule.sieve.rules.addresses import moved
from bascule.sieve.rules.uris import scheme
from bascule.sieve.rules.variables import VARIABLE
from bascule.sieve.syntax import Argument, Node, String, Tag, quote

RULE, RULE_UNSUPPORTED = "notify", "notify-unsupported"
IMPORTANCE = {"high": "1", "normal": "2", "low": "3"}
# What Pigeonhole's `notify` does without these tags; `enotify` would do otherwise.
DEFAULT_IMPORTANCE, DEFAULT_MESSAGE = "1", "$from$: $subject$"
# What the old extension put in place of these words, and the header that gives the same as a variable.
HEADER_WORDS = {"$from$": "from", "$subject$": "subject"}
ENVELOPE_WORDS = {"$env-from$": "from"}
OTHER_WORD = re.compile(r"\$text(\[[0-9]+\])?\$")


def old_notify(report: Report) -> None:
    """Rewrite each old `notify` by mail. Any other becomes a comment, so that the rest is carried, and a problem."""
    names = enabled(report.script)
    if "notify" not in names or report.has_only("notify", "enotify"):
        return
    report.renamed_extensions["notify"] = "enotify"
    commands = [node for node in report.script.walk() if not node.is_test and node.name in ("notify", "denotify")]
    old = [node for node in commands if not _is_new(node)]
    conflict = _variables_conflict(report, "variables" in names)
    cancelled = any(node.name == "denotify" for node in old)
    for node in old:
        if node.name == "denotify":
            _leave_out(report, node, "`denotify` has no counterpart in `enotify`")
        elif cancelled:
            _leave_out(report, node, "`denotify` may cancel this notification, and has no counterpart in `enotify`")
        else:
            _Rewriting(report, node, conflict).rewrite()


def missing_methods(report: Report) -> None:
    """A way of notifying that the new server does not have makes its compiler refuse the whole filter."""
    methods = report.context.notify_methods
    if methods is None:
        return
    has_variables, on = "variables" in enabled(report.script), {id(node) for node in reached(report.script)}
    for role in all_roles(report.script, "method"):
        for string in role.strings() if not role.node.is_test and id(role.node) in on else []:
            method = scheme(string.value)
            if method and method not in methods and not (has_variables and VARIABLE.search(string.value)):
                has = ", ".join(sorted(methods)) or "none"
                message = f"the new server sends no notifications by {shown(method)} (it has: {has})"
                report.ask(string.start, "notify-method", message)


def _leave_out(report: Report, node: Node, why: str) -> None:
    """As a comment, since the new server would refuse the whole filter for the old form."""
    source = report.script.text[node.start : node.end].replace("*/", "* /")
    report.edit(node.start, node.end, f"/* not carried over: {source} */", RULE_UNSUPPORTED, why)
    report.ask(node.start, RULE_UNSUPPORTED, f"{why}: it is left out as a comment; rewrite it by hand")


def _variables_conflict(report: Report, has_variables: bool) -> str:
    """Why variables can't take the place of the old words in this script; asked once for all of its notifications."""
    text = report.script.text
    if not has_variables and VARIABLE.search(text):
        return "`$from$` and `$subject$` need `variables`, which would change other strings with `${...}` here"
    if has_variables and re.search(r"\$\{[0-9]+\}", text):
        return "`$from$` and `$subject$` need a match of their own, and the filter uses the last match's `${1}`"
    return ""


def _is_new(node: Node) -> bool:
    """The new form has its method as its last argument without a tag."""
    named = [argument for argument in node.arguments if isinstance(argument, Tag)]
    return not any(tag.name in ("method", "options", "id", *IMPORTANCE) for tag in named) and bool(
        node.arguments and isinstance(node.arguments[-1], String) and ":" in node.arguments[-1].value
    )


class _Rewriting:
    def __init__(self, report: Report, node: Node, conflict: str) -> None:
        self.report, self.node, self.conflict = report, node, conflict
        self.values: dict[str, Argument] = {}
        self.importance = DEFAULT_IMPORTANCE
        tag = ""
        for argument in node.arguments:
            if isinstance(argument, Tag):
                tag = argument.name
                self.importance = IMPORTANCE.get(tag, self.importance)
            elif tag:
                self.values[tag] = argument
                tag = ""

    def rewrite(self) -> None:
        obstacle = self._obstacle()
        if obstacle:
            _leave_out(self.report, self.node, obstacle)
            return
        before, message = self._message()
        before = comments(self.report.script, self.node.start, self.node.end) + before
        words = [f"notify :importance {quote(self.importance)}"]
        if message:
            words.append(f":message {quote(message)}")
        first, *others = [percent(address, "@+.-_", errors="surrogateescape") for address in self._recipients()]
        # Not "mailto:a,b": Pigeonhole takes one address there, and the others as RFC 6068's `to` fields.
        words.append(quote(f"mailto:{first}" + "".join(f"{'&' if n else '?'}to={a}" for n, a in enumerate(others))))
        reason = (
            "`notify` is `enotify` now: the recipients are a URI; `:message` is the notification's subject (RFC 5436)"
        )
        self.report.edit(self.node.start, self.node.end, before + " ".join(words) + ";", RULE, reason)

    def _recipients(self) -> list[str]:
        """Bare addresses, those of a retired host under its new domain, each once."""
        given = [string.value for string in strings(self.values["options"])] if "options" in self.values else []
        return list(dict.fromkeys(_bare(moved(self.report, value) or value) for value in given if value.strip()))

    def _text(self) -> str:
        message = self.values.get("message")
        if isinstance(message, String):
            return message.value.strip()
        return "" if self.conflict else DEFAULT_MESSAGE

    def _words(self) -> list[str]:
        return [word for word in (*HEADER_WORDS, *ENVELOPE_WORDS) if word in self._text()]

    def _obstacle(self) -> str:
        method = self.values.get("method")
        name = method.value.lower() if isinstance(method, String) else "mailto"
        if name not in ("mailto", "email"):
            return f"the notification method {shown(name)} has no counterpart"
        if not self._recipients():
            return "this notification names no recipient"
        if OTHER_WORD.search(self._text()):
            return "`$text$` (the message's body in the notification) has no counterpart"
        return self.conflict if self._words() else ""

    def _message(self) -> tuple[str, str]:
        """What must stand before the command, and the message with variables in place of the old words."""
        text, before = self._text(), []
        for word in self._words():
            name = "bascule_" + word.strip("$").replace("-", "_")
            test = (
                f'header :matches "{HEADER_WORDS[word]}" "*"'
                if word in HEADER_WORDS
                else 'envelope :matches "from" "*"'
            )
            before.append(f'if {test} {{ set "{name}" "${{1}}"; }}{self._newline()}')
            text = text.replace(word, f"${{{name}}}")
            self.report.added_extensions.setdefault("variables", f"{word} of a notification is a variable now")
            if word in ENVELOPE_WORDS:
                self.report.added_extensions.setdefault(
                    "envelope", f"{word} of a notification is the envelope's sender"
                )
        return "".join(before), text.replace("\r\n", " ").replace("\n", " ")

    def _newline(self) -> str:
        """A line end with the indentation of the command's line."""
        text, start = self.report.script.text, self.node.start
        at = start
        while at > 0 and text[at - 1] in " \t":
            at -= 1
        return self.report.script.newline + (text[at:start] if at == 0 or text[at - 1] == "\n" else "")


def _bare(address: str) -> str:
    """`Me <me@obs.test>` without the name."""
    found = re.search(r"<([^<>]*+)>\s*+$", address)
    return (found[1] if found else address).strip()

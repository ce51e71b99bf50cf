"""`notify` (draft-martin-sieve-notify) became `enotify` (RFC 5435), with the method `mailto:` (RFC 5436)."""

import re
from urllib.parse import quote as percent

from bascule.sieve.language import required, strings
from bascule.sieve.model import Report
from bascule.sieve.syntax import Argument, Node, String, Tag, comments, quote

RULE = "notify"
IMPORTANCE = {"high": "1", "normal": "2", "low": "3"}
# What Pigeonhole's `notify` does without these tags; `enotify` would do otherwise.
DEFAULT_IMPORTANCE, DEFAULT_MESSAGE = "1", "$from$: $subject$"
# What the old extension put in place of these words, and the header that gives the same as a variable.
HEADER_WORDS = {"$from$": "from", "$subject$": "subject"}
ENVELOPE_WORDS = {"$env-from$": "from"}
OTHER_WORD = re.compile(r"\$text(\[[0-9]+\])?\$")
VARIABLE = re.compile(r"\$\{[A-Za-z0-9_.]+\}")


def old_notify(report: Report) -> None:
    """Rewrite each old `notify` by mail; anything else (another method, `denotify`, `$text$`) is a problem by name."""
    names = {string.value for _, string in required(report.script)}
    if "notify" not in names:
        return
    report.renamed_extensions["notify"] = "enotify"
    for node in report.script.walk():
        if node.is_test:
            continue
        if node.name == "denotify":
            report.ask(
                node.start, "notify-unsupported", "`denotify` has no counterpart in `enotify`: rewrite this by hand"
            )
        elif node.name == "notify" and not _is_new(node):
            _Rewriting(report, node, "variables" in names).rewrite()


def _is_new(node: Node) -> bool:
    """The new form has its method as its last argument without a tag."""
    named = [argument for argument in node.arguments if isinstance(argument, Tag)]
    return not any(tag.name in ("method", "options", "id", *IMPORTANCE) for tag in named) and bool(
        node.arguments and isinstance(node.arguments[-1], String) and ":" in node.arguments[-1].value
    )


class _Rewriting:
    def __init__(self, report: Report, node: Node, has_variables: bool) -> None:
        self.report, self.node, self.has_variables = report, node, has_variables
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
        trouble = self._trouble()
        if trouble:
            self.report.ask(self.node.start, "notify-unsupported", f"{trouble}: rewrite this by hand")
            return
        before, message = self._message()
        before = comments(self.report.script.text, self.node.start, self.node.end) + before
        words = [f"notify :importance {quote(self.importance)}"]
        if message:
            words.append(f":message {quote(message)}")
        first, *others = [percent(address.strip(), "@+.-_", errors="surrogateescape") for address in self._recipients()]
        # Not "mailto:a,b": Pigeonhole takes one address there, and the others as RFC 6068's `to` fields.
        words.append(quote(f"mailto:{first}" + "".join(f"{'&' if n else '?'}to={a}" for n, a in enumerate(others))))
        reason = (
            "`notify` is `enotify` now: the recipients are a URI; `:message` is the notification's subject (RFC 5436)"
        )
        self.report.edit(self.node.start, self.node.end, before + " ".join(words) + ";", RULE, reason)

    def _recipients(self) -> list[str]:
        return [string.value for string in strings(self.values["options"])] if "options" in self.values else []

    def _text(self) -> str:
        message = self.values.get("message")
        if isinstance(message, String):
            return message.value.strip()
        return "" if self._conflict() else DEFAULT_MESSAGE

    def _words(self) -> list[str]:
        return [word for word in (*HEADER_WORDS, *ENVELOPE_WORDS) if word in self._text()]

    def _trouble(self) -> str:
        method = self.values.get("method")
        name = method.value.lower() if isinstance(method, String) else "mailto"
        if name not in ("mailto", "email"):
            return f"the notification method {name!r} has no counterpart"
        if not self._recipients():
            return "this notification names no recipient"
        if OTHER_WORD.search(self._text()):
            return "`$text$` (the message's body in the notification) has no counterpart"
        return self._conflict() if self._words() else ""

    def _conflict(self) -> str:
        """Why variables can't take the place of the old words in this script."""
        text = self.report.script.text
        if not self.has_variables and VARIABLE.search(text):
            return "`$from$` and `$subject$` need `variables`, which would change other strings with `${...}` here"
        if self.has_variables and re.search(r"\$\{[0-9]+\}", text):
            return "`$from$` and `$subject$` need a match of their own, and the filter uses the last match's `${1}`"
        return ""

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
        text = self.report.script.text
        line = text[text.rfind("\n", 0, self.node.start) + 1 : self.node.start]
        return ("\r\n" if "\r\n" in text else "\n") + (line if not line.strip() else "")

"""Folder names: through the same mapping that moved the folders of this very mailbox."""

import re

from bascule.sieve.foldermap import FolderMap, from_mutf7
from bascule.sieve.language import Role, all_roles, required
from bascule.sieve.model import Edit, Report
from bascule.sieve.syntax import Node, String, quote

VARIABLE = re.compile(r"\$\{([A-Za-z0-9_.]+)\}")
ENCODED = re.compile(r"\$\{(hex|unicode):([0-9A-Fa-f \t\r\n]*)\}", re.IGNORECASE)


def folder_names(report: Report) -> None:
    """Every folder name in the script: constant, from a constant variable, or with parts that only a message gives."""
    extensions = {string.value for _, string in required(report.script)}
    with_variables = "variables" in extensions
    constants = _Constants(report) if with_variables else None
    for role in all_roles(report.script, "mailbox"):
        for string in role.strings():
            value = _decoded(string.value) if "encoded-character" in extensions else string.value
            if constants is None or not VARIABLE.search(value):
                _constant(report, string, value)
                _left_out(report, role, string, value)
            elif not constants.take(value, role):
                _variable(report, string)
    if constants is not None:
        constants.convert()


def _constant(report: Report, string: String, value: str) -> None:
    new = converted(report.context.folders, value)
    if new != value:
        report.edit(string.start, string.end, quote(new), "folder-name", _reason(value, new))


def _left_out(report: Report, role: Role, string: String, value: str) -> None:
    """A folder that a person has left out of the move: what is filed there must not vanish from sight silently."""
    old = value if value in report.context.left_out else from_mutf7(value) or value
    if old not in report.context.left_out:
        return
    if role.node.is_test:
        message = f"asks for the folder {old!r}, which is left out of the move by decision"
        report.ask(string.start, "folder-left-out", message)
        return
    message = (
        f"files into {old!r}, which is left out of the move by decision: the proposal files into the inbox; to have "
        f"the folder made empty instead, write its new name there, with `:create` (extension `mailbox`)"
    )
    edit = Edit(string.start, string.end, quote("INBOX"), "folder-left-out", f"the folder {old!r} is left out")
    report.ask(string.start, "folder-left-out", message, edit)


def converted(folders: FolderMap, name: str) -> str:
    """The new name of one folder, written in UTF-8 or in modified UTF-7 (as old servers took it)."""
    decoded = from_mutf7(name)
    if decoded is not None and not folders.is_old(name):
        name = decoded
    return folders.new_name(name)


def _reason(old: str, new: str) -> str:
    if from_mutf7(old) == new:
        return f"the folder {new!r} was written in modified UTF-7; Sieve wants UTF-8"
    return f"the folder {old!r} is {new!r} on the new server"


def _variable(report: Report, string: String) -> None:
    """Only the beginning up to the last separator before the first variable can be mapped; a person must agree."""
    folders = report.context.folders
    first = VARIABLE.search(string.value)
    start = string.value[: first.start() if first else 0]
    fixed = start[: start.rfind(folders.old_separator) + 1] if folders.old_separator else ""
    rest = string.value[len(fixed) :]
    new = (folders.new_start(fixed) if fixed else folders.new_prefix) + rest
    same_names = folders.old_separator == folders.new_separator and new == string.value
    if same_names and all(old == moved for old, moved in folders.names.items()):
        return
    message = (
        f"the folder {string.value!r} is known only when a message comes: its variables can't be mapped beforehand"
    )
    edit = Edit(
        string.start, string.end, quote(new), "folder-variable", f"the constant part of {string.value!r} mapped"
    )
    report.ask(string.start, "folder-variable", message, *([edit] if new != string.value else []))


def _decoded(value: str) -> str:
    """With "encoded-character" (RFC 5228 section 2.4.2.4), the characters that are meant."""

    def replaced(found: re.Match[str]) -> str:
        try:
            codes = [int(code, 16) for code in found[2].split()]
            if found[1].lower() == "hex":
                return bytes(codes).decode("utf-8")
            return "".join(map(chr, codes))
        except (ValueError, UnicodeError):
            return found[0]

    return ENCODED.sub(replaced, value)


class _Constants:
    """Variables that only ever hold constant folder names: their `set` is where the name is mapped.

    A variable counts when each of its `set`s has a constant value without modifiers and all its uses are a folder's
    whole name.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self.values: dict[str, list[String]] = {}
        self.taken: dict[str, Role] = {}
        spoiled: set[str] = set()
        uses: dict[str, int] = {}
        for node in report.script.walk():
            if node.name == "set" and not node.is_test:
                self._read(node, spoiled)
            elif node.name in ("global", "import", "export", "extracttext"):
                spoiled.update(
                    s.value.lower() for a in node.arguments for s in getattr(a, "items", [a]) if isinstance(s, String)
                )
            for argument in node.arguments:
                for string in getattr(argument, "items", [argument]):
                    if isinstance(string, String):
                        for name in VARIABLE.findall(string.value):
                            uses[name.lower()] = uses.get(name.lower(), 0) + 1
        as_folder: dict[str, int] = {}
        for role in all_roles(report.script, "mailbox"):
            for string in role.strings():
                if (found := VARIABLE.fullmatch(string.value)) is not None:
                    as_folder[found[1].lower()] = as_folder.get(found[1].lower(), 0) + 1
        self.values = {
            name: strings
            for name, strings in self.values.items()
            if name not in spoiled and uses.get(name, 0) == as_folder.get(name, 0)
        }

    def _read(self, node: Node, spoiled: set[str]) -> None:
        strings = [argument for argument in node.arguments if isinstance(argument, String)]
        if len(strings) != 2:
            return
        name = strings[0].value.lower()
        if len(node.arguments) != 2 or VARIABLE.search(strings[1].value):
            spoiled.add(name)
        else:
            self.values.setdefault(name, []).append(strings[1])

    def take(self, value: str, role: Role) -> bool:
        """Whether this folder name is one such variable."""
        found = VARIABLE.fullmatch(value)
        if found is None or found[1].lower() not in self.values:
            return False
        self.taken.setdefault(found[1].lower(), role)
        return True

    def convert(self) -> None:
        """Map the names where the variables are set."""
        for name in sorted(self.taken):
            for string in self.values[name]:
                _constant(self.report, string, string.value)
                _left_out(self.report, self.taken[name], string, string.value)

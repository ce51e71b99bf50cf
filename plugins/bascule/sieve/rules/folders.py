"""Folder names: through the same mapping that moved the folders of this very mailbox."""

from bascule.sieve.foldermap import FolderMap, Unsure, from_mutf7
from bascule.sieve.language import Role, all_roles, strings
from bascule.sieve.model import Edit, Report, shown
from bascule.sieve.rules.encoded_characters import value_of
from bascule.sieve.rules.encoding import OTHER_OCTETS, windows_1252
from bascule.sieve.rules.encoding import RULE as RULE_NOT_UTF8
from bascule.sieve.rules.variables import VARIABLE, Constants
from bascule.sieve.syntax import String, quote

RULE_UNSURE = "folder-unsure"


def folder_names(report: Report) -> None:
    """Every folder name in the script: constant, from a constant variable, or with parts that only a message gives."""
    constants, done = Constants.of(report.script), set()
    for role in all_roles(report.script, "mailbox"):
        for string in role.strings():
            places = constants.places(string, ["mailbox"])
            if places is None:
                _variable(report, string, constants.expanded(string.value))
            for place in places or ():
                if place.start not in done:  # several names may come from one `set`
                    done.add(place.start)
                    _constant(report, role, place)


def compared_names(report: Report) -> None:
    """`environment :is "imap.mailbox" "INBOX.Work"` (RFC 6785 section 4.1): what matched there may match no more."""
    for node in report.script.walk():
        texts = [string.value for argument in node.arguments for string in strings(argument)]
        if node.name == "environment" and "imap.mailbox" in texts and not report.context.folders.keeps_every_name:
            message = "compares the name of the folder with a text, and folders have other names on the new server"
            report.ask(node.start, "folder-variable", f"`environment` {message}: rewrite it by hand")


def _constant(report: Report, role: Role, string: String) -> None:
    folders = report.context.folders
    value = value_of(report.script, string)
    new = folders.new_name(value)
    if _left_out(report, role, string, value) and isinstance(new, Unsure):
        return
    if OTHER_OCTETS.search(value):
        _not_utf8(report, string, value)
    elif not isinstance(new, Unsure):
        if new != value:
            report.edit(string.start, string.end, quote(new), "folder-name", _reason(value, new))
    elif not folders.waits(value):
        edit = Edit(string.start, string.end, quote(new.proposal), RULE_UNSURE, _reason(value, new.proposal))
        repair = [edit] if new.proposal != value else []
        report.ask(string.start, RULE_UNSURE, f"the folder {shown(value)} {new.explanation}", *repair)


def _not_utf8(report: Report, string: String, value: str) -> None:
    """What the octets most likely mean is a folder's name on the old server, or its beginning."""
    meant = OTHER_OCTETS.sub(lambda run: windows_1252(run[0]), value)
    new = report.context.folders.new_name(meant)
    proposal = new.proposal if isinstance(new, Unsure) else new
    edit = Edit(string.start, string.end, quote(proposal), RULE_NOT_UTF8, _reason(meant, proposal))
    message = f"the folder's name is not UTF-8, so nothing was filed there; read as Windows-1252 it is {shown(meant)}"
    report.ask(string.start, RULE_NOT_UTF8, message, edit)


def _left_out(report: Report, role: Role, string: String, value: str) -> bool:
    """Whether a person has left the folder out of the move: what is filed there must not vanish from sight silently."""
    old = value if value in report.context.left_out else report.context.folders.read_by_old(value)
    if old not in report.context.left_out:
        return False
    if role.node.is_test:
        message = f"asks for the folder {shown(old)}, which is left out of the move by decision"
        report.ask(string.start, "folder-left-out", message)
        return True
    message = (
        f"files into {shown(old)}, which is left out of the move by decision: the proposal files into the inbox; to "
        f"have the folder made empty instead, write its new name there, with `:create` (extension `mailbox`)"
    )
    edit = Edit(string.start, string.end, quote("INBOX"), "folder-left-out", f"the folder {shown(old)} is left out")
    report.ask(string.start, "folder-left-out", message, edit)
    return True


def _reason(old: str, new: str) -> str:
    if from_mutf7(old) == new:
        return f"the folder {shown(new)} was written in modified UTF-7; Sieve wants UTF-8"
    return f"the folder {shown(old)} is {shown(new)} on the new server"


def _variable(report: Report, string: String, expanded: str | None) -> None:
    """A person must agree to what becomes of it."""
    folders = report.context.folders
    new = _most_likely(folders, string.value, expanded)
    if folders.keeps_every_name and new == string.value:
        return
    message = (
        f"the folder {shown(string.value)} is known only when a message comes: its variables can't be mapped beforehand"
    )
    reason = f"the constant part of {shown(string.value)} mapped"
    edit = Edit(string.start, string.end, quote(new), "folder-variable", reason)
    report.ask(string.start, "folder-variable", message, *([edit] if new != string.value else []))


def _most_likely(folders: FolderMap, value: str, expanded: str | None) -> str:
    """The name of the only folder that this can be; else the beginning mapped, up to the last separator before the
    first variable."""
    if expanded is not None and not folders.keeps_every_name:
        new = folders.new_name(expanded)
        return new.proposal if isinstance(new, Unsure) else new
    first = VARIABLE.search(value)
    start = value[: first.start() if first else 0]
    fixed = start[: start.rfind(folders.old_separator) + 1] if folders.old_separator else ""
    return (folders.new_start(fixed) if fixed else folders.new_prefix) + _levels(folders, value[len(fixed) :])


def _levels(folders: FolderMap, rest: str) -> str:
    """What is constant between the variables, with new's separator for old's."""
    found, at = "", 0
    for variable in VARIABLE.finditer(rest):
        found += _with_new_separator(folders, rest[at : variable.start()]) + variable[0]
        at = variable.end()
    return found + _with_new_separator(folders, rest[at:])


def _with_new_separator(folders: FolderMap, text: str) -> str:
    old, new = folders.old_separator, folders.new_separator
    return text.replace(new, "_").replace(old, new) if old and new and old != new else text

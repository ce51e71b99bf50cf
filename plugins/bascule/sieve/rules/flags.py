"""`imapflags` (draft-melnikov-sieve-imapflags) became `imap4flags` (RFC 5232)."""

from bascule.sieve.language import enabled
from bascule.sieve.model import Edit, Report

OLD, NEW = "imapflags", "imap4flags"
MARKS = {"mark": 'addflag "\\\\Flagged"', "unmark": 'removeflag "\\\\Flagged"'}


def imapflags(report: Report) -> None:
    """Rename the extension; `mark` and `unmark` become what they stand for, on the same internal variable.

    `setflag`, `addflag` and `removeflag` with one argument mean the same in both: they change the flags that the
    following `keep` and `fileinto` set. Where one string holds several flags, the old one made one (invalid) flag of
    it. Without the extension being required, no strict server ran them: a person is asked.
    """
    if report.has_only(OLD, NEW):
        return
    marks = [node for node in report.script.walk() if not node.is_test and node.name in MARKS]
    edits = [Edit(node.start, node.start + len(node.name), MARKS[node.name], OLD, _reason(node.name)) for node in marks]
    is_required = OLD in enabled(report.script)
    if is_required or marks:
        report.renamed_extensions[OLD] = NEW
    if is_required:
        report.edits += edits
    elif marks:
        message = f"`{marks[0].name}` belongs to `{OLD}`, which is not required and has ended: the proposal has `{NEW}`"
        report.ask(marks[0].start, "require-missing", message, *edits)


def _reason(word: str) -> str:
    return f"`{word}` ended with `{OLD}`; `{NEW}` has this"

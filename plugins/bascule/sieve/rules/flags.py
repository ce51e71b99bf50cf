"""`imapflags` (draft-melnikov-sieve-imapflags) became `imap4flags` (RFC 5232)."""

from bascule.sieve.language import required
from bascule.sieve.model import Report

MARKS = {"mark": 'addflag "\\\\Flagged"', "unmark": 'removeflag "\\\\Flagged"'}


def imapflags(report: Report) -> None:
    """Rename the extension; `mark` and `unmark` become what they stand for, on the same internal variable.

    `setflag`, `addflag` and `removeflag` with one argument mean the same in both: they change the flags that the
    following `keep` and `fileinto` set. Where one string holds several flags, the old one made one (invalid) flag of
    it.
    """
    if not any(string.value == "imapflags" for _, string in required(report.script)):
        return
    report.renamed_extensions["imapflags"] = "imap4flags"
    for node in report.script.walk():
        if not node.is_test and node.name in MARKS:
            end = node.start + len(node.name)
            report.edit(
                node.start,
                end,
                MARKS[node.name],
                "imapflags",
                f"`{node.name}` ended with `imapflags`; `imap4flags` has this",
            )

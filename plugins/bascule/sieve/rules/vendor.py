"""Vendors' names of what became a standard, and words of one vendor's server that no other has."""

from bascule.sieve.language import required, table
from bascule.sieve.model import Report
from bascule.sieve.syntax import Number, String


def vendor_words(report: Report) -> None:
    """Rename what has a standard name now (the list stands in rules.yaml); `duplicate "name"` becomes its `:handle`."""
    names = {string.value for _, string in required(report.script)}
    renames = {old: new for old, new in table("rules")["renamed_extensions"].items() if old in names}
    report.renamed_extensions.update(renames)
    if "vnd.dovecot.duplicate" in names:
        _duplicates(report)


def _duplicates(report: Report) -> None:
    for node in report.script.walk():
        if not (node.is_test and node.name == "duplicate") or not node.arguments:
            continue
        first = node.arguments[0]
        if isinstance(first, String) and len(node.arguments) == 1:
            report.edit(
                first.start,
                first.start,
                ":handle ",
                "extension-renamed",
                "a name of `duplicate` is its `:handle` (RFC 7352)",
            )
        elif isinstance(first, Number):
            report.edit(
                first.start, first.start, ":seconds ", "extension-renamed", "a time of `duplicate` is its `:seconds`"
            )

"""Vendors' names of what became a standard, and words of one vendor's server that no other has."""

from collections.abc import Iterator

from bascule.sieve.language import enabled, table
from bascule.sieve.model import Edit, Report
from bascule.sieve.syntax import Number, Script, String, Tag

DUPLICATE = "vnd.dovecot.duplicate"
RULE = "extension-renamed"


def vendor_words(report: Report) -> None:
    """Rename what has a standard name now (the list stands in rules.yaml), and the old forms of `duplicate`."""
    names = enabled(report.script)
    listed = table("rules")["renamed_extensions"].items()
    renames = {old: new for old, new in listed if old in names and not report.has_only(old, new)}
    report.renamed_extensions.update(renames)
    edits = list(_duplicates(report.script))
    if DUPLICATE in renames:
        report.edits += edits
    elif DUPLICATE not in names and edits and not report.has_only(DUPLICATE, "duplicate"):
        report.renamed_extensions[DUPLICATE] = "duplicate"
        message = f"this form of `duplicate` belongs to `{DUPLICATE}`, which is not required and has ended"
        report.ask(edits[0].start, "require-missing", f"{message}: the proposal has the form of RFC 7352", *edits)


def _duplicates(script: Script) -> Iterator[Edit]:
    """What was otherwise before RFC 7352: `duplicate "name"`, `duplicate 3600`, `:value`."""
    for node in script.walk():
        if not (node.is_test and node.name == "duplicate") or not node.arguments:
            continue
        first = node.arguments[0]
        if isinstance(first, String) and len(node.arguments) == 1:
            yield Edit(first.start, first.start, ":handle ", RULE, "a name of `duplicate` is its `:handle` (RFC 7352)")
        elif isinstance(first, Number):
            yield Edit(first.start, first.start, ":seconds ", RULE, "a time of `duplicate` is its `:seconds`")
        for tag in node.arguments:
            if isinstance(tag, Tag) and tag.name == "value":
                yield Edit(tag.start, tag.end, ":uniqueid", RULE, "`:value` is `:uniqueid` in RFC 7352")

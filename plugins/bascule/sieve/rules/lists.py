"""Items that go from a list of strings, with what people wrote between them kept."""

from collections.abc import Mapping

from bascule.sieve.model import Report
from bascule.sieve.parser import comments
from bascule.sieve.syntax import String


def remove_items(report: Report, items: list[String], gone: Mapping[int, tuple[str, str]]) -> None:
    """Cut the items whose `id` is in `gone` (to rule and reason); one at least must stay.

    Each goes with the comma before it, or with the one after it where no item stays before it.
    """
    any_before = False
    for at, item in enumerate(items):
        if id(item) not in gone:
            any_before = True
        elif any_before:
            kept = comments(report.script, items[at - 1].end, item.end)
            report.edit(items[at - 1].end, item.end, kept and f" {kept}", *gone[id(item)])
        else:
            kept = comments(report.script, item.start, items[at + 1].start)
            report.edit(item.start, items[at + 1].start, kept, *gone[id(item)])

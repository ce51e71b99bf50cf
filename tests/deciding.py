"""A person who decides: through the check that page, spreadsheet and site file share, so that nothing else gets by."""

from typing import Any

from bascule.ledger import Ledger
from bascule.ledger.journal import Origin
from bascule.problems import record, store
from bascule.problems.model import Option, Problem

AUTHOR = record.Author("anne", "page", Origin("problems"))


def decide(ledger: Ledger, *found: Problem, option: Option = Option.APPLY, **given: Any) -> None:
    """The same about each of these problems, or about all that are open; `given`: what is written into the form."""
    asked = found or tuple(store.problems(ledger))
    assert asked, "nothing is open"
    record.record(ledger, [record.Choice(problem, option, given) for problem in asked], AUTHOR)

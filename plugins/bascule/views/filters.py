"""One account's filters: before, after, edits with reasons, the compiler's words, behaviour."""

from typing import Any

from bascule.ledger import Ledger, filters
from bascule.problems import store
from bascule.views import pages
from bascule.views.language import Reader


def values(ledger: Ledger, account: str) -> dict[str, Any]:
    """What the page shows."""
    return {
        "account": account,
        "scripts": filters.filters(ledger, account),
        "problems": store.problems(ledger, account=account, room="sieve", states=("open", "decided", "settled")),
    }


def alone(ledger: Ledger, account: str, reader: Reader) -> str:
    """The page as one file that needs nothing else."""
    style = (pages.TEMPLATES / "style.css").read_text(encoding="utf-8")
    return pages.render("filters_alone.html.j2", reader, {"style": style, **values(ledger, account)})

"""One page per account: before, after, edits with reasons, the compiler's words, behaviour."""

import jinja2

from bascule.ledger import Ledger, filters, problems
from bascule.sieve.language import DATA


def render(ledger: Ledger, account: str) -> str:
    """The account's page as HTML; everything from scripts and messages is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(DATA), autoescape=True, undefined=jinja2.ChainableUndefined
    )
    return environment.get_template("page.html.j2").render(
        account=account,
        scripts=filters.filters(ledger, account),
        problems=problems.problems(ledger, account=account, room="sieve", states=("open", "decided", "settled")),
    )

"""One page per account: before, after, edits with reasons, the compiler's words, behaviour."""

import functools

import jinja2

from bascule.ledger import Ledger, filters, problems
from bascule.sieve.language import DATA
from bascule.text import harmless


def render(ledger: Ledger, account: str, *, nonce: str = "") -> str:
    """The account's page as HTML; everything from scripts and messages is escaped, and what hides is made visible.

    `nonce` allows the page its style where a web server's policy forbids any other (Content-Security-Policy).
    """
    return (
        _templates()
        .get_template("page.html.j2")
        .render(
            account=account,
            nonce=nonce,
            scripts=filters.filters(ledger, account),
            problems=problems.problems(ledger, account=account, room="sieve", states=("open", "decided", "settled")),
        )
    )


@functools.cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(DATA), autoescape=True, undefined=jinja2.ChainableUndefined
    )
    environment.filters |= {"harmless": harmless, "lines": _lines}
    return environment


def _lines(text: str) -> str:
    """Text of several lines, harmless; its line ends and tabs stay."""
    return "\n".join("\t".join(map(harmless, line.split("\t"))) for line in str(text).split("\n"))

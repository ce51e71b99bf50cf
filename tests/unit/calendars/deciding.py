"""What is open."""

from bascule.ledger import Ledger
from bascule.problems import store


def open_problems(ledger: Ledger) -> list[tuple[str, str]]:
    return [(problem.kind, problem.subject) for problem in store.problems(ledger, room="calendar")]

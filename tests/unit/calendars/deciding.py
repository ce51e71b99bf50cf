"""What is open, and what a person says about it."""

from typing import Any

from bascule.ledger import Ledger, problems
from bascule.ledger.journal import Origin
from bascule.ledger.problems import Option


def open_problems(ledger: Ledger) -> list[tuple[str, str]]:
    return [(problem.kind, problem.subject) for problem in problems.problems(ledger, room="calendar")]


def decide(ledger: Ledger, option: Option, **values: Any) -> None:
    for problem in problems.problems(ledger):
        with ledger.session() as session:
            problems.decide(
                session,
                problem.id,
                option,
                values or problem.proposal,
                decided_by="anne",
                source="page",
                origin=Origin("test"),
            )

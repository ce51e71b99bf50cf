"""What all tests share: an Airflow home and a ledger of their own; every reported problem stands in the registry."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bascule.ledger import Ledger

CHECKOUT = Path(__file__).parents[1]

# Set before Airflow is imported by any test.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="bascule-airflow-"))
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
os.environ["PYTHONPATH"] = f"{CHECKOUT / 'plugins'}:{CHECKOUT}"


@pytest.fixture(autouse=True)
def every_reported_problem_is_one_of_problems_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rooms report kinds that have an entry, and propose what the entry says; tests may report what they like."""
    from bascule.problems import kinds, store
    from bascule.problems.model import Problem

    report = store.report

    def checked(session: store.Session, problem: Problem) -> int:
        if sys._getframe(1).f_globals["__name__"].startswith("bascule."):
            kind = kinds.kinds().get(problem.key)
            assert kind is not None, f"{problem.key} has no entry in {kinds.FILE.name}"
            assert problem.proposal.action in kind.proposes, f"{problem.key} proposes {problem.proposal.action!r}"
        return report(session, problem)

    monkeypatch.setattr(store, "report", checked)


@pytest.fixture(autouse=True)
def no_command_line_silences_the_log_of_the_tests_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from bascule.text.logs import Logger

    monkeypatch.setattr(Logger, "least", Logger.least)


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    from tests.ledgers import empty_ledger

    return empty_ledger(tmp_path / "ledger.db")


@pytest.fixture
def ledger(ledger_url: str) -> Iterator["Ledger"]:
    """An empty ledger of the test's own."""
    from bascule.ledger import Ledger

    opened = Ledger(ledger_url)
    yield opened
    opened.engine.dispose()

"""The review task: what it shows, what it records, what it refuses; a killed task; an Airflow that was thrown away."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.exceptions import TaskAwaitingInput
from bascule import site
from bascule.ledger import Ledger, journal, phases, problems
from bascule.ledger.problems import Option, Problem
from bascule.operators import review
from bascule.operators.runtime import Run

from tests.unit.decisions.conftest import ORIGIN

Report = Callable[..., Problem]
SITE = site.load(Path(__file__).parents[3] / "lab" / "site.yaml")


class Asking:
    """A review of anna's problems, with a person who answers."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.task = review.ReviewProblems(task_id="review", account="anna", rooms=["mailbox"])
        self.asked: dict[str, Any] = {}

    def ask(self) -> bool:
        """Run the task to its question; False when nobody is asked. Each call is a new task, as after a kill."""
        self.task = review.ReviewProblems(task_id="review", account="anna", rooms=["mailbox"])
        try:
            self.task.execute({"task_instance": type("TI", (), {"id": "1"})()})
        except TaskAwaitingInput as waiting:
            self.asked = {"shown": waiting.kwargs["shown"], "params": self.task.serialized_params}
            return True
        return False

    def answer(self, option: str | None, **edits: str) -> None:
        values = {key: field["value"] for key, field in self.asked["params"].items()}
        event = {
            "chosen_options": [option] if option else [],
            "params_input": values | {key.replace("_", "."): value for key, value in edits.items()},
            "responded_at": datetime.now(UTC),
            "responded_by_user": {"id": "7", "name": "postmaster"},
        }
        task = review.ReviewProblems(task_id="review", account="anna", rooms=["mailbox"])
        task.execute_complete({}, event, shown=self.asked["shown"])


@pytest.fixture
def asking(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Asking:
    @contextlib.contextmanager
    def opened(context: Any) -> Iterator[Run]:
        yield Run(SITE, None, ledger, ORIGIN, dry_run=False, selection="all")  # type: ignore[arg-type]

    monkeypatch.setattr(review, "opened_run", opened)
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **_: None)
    phases.mark(ledger, "prepare", "finished", ORIGIN)
    return Asking(ledger)


def values_of(ledger: Ledger) -> list[dict[str, Any]]:
    return [decision.values for _, decision in problems.decisions(ledger, "anna", "mailbox")]


def test_only_those_whom_the_site_file_names_may_answer(report: Report, asking: Asking) -> None:
    report()
    asking.ask()
    assert SITE.gates.reviewers == ["postmaster"]
    assert [user["id"] for user in asking.task.assigned_users or []] == SITE.gates.reviewers


def test_an_edited_name_is_decided(ledger: Ledger, report: Report, asking: Asking) -> None:
    report()
    assert asking.ask()
    asking.answer("Apply the proposals", **{"1_name": "Notes"})
    assert values_of(ledger) == [{"action": "rename", "name": "Notes"}]
    assert not asking.ask()


def test_a_wrong_name_is_asked_again_with_the_reason_and_what_was_typed(
    ledger: Ledger, report: Report, asking: Asking
) -> None:
    report("~a")
    report("~b", proposal={"action": "rename", "name": "b"})
    asking.ask()
    asking.answer("Apply the proposals", **{"1_name": "../etc", "2_name": "Bons noms"})
    assert values_of(ledger) == []
    assert asking.ask()
    assert "separates the levels" in (asking.task.body or "")
    assert [asking.asked["params"][key]["value"] for key in ("1.name", "2.name")] == ["../etc", "Bons noms"]


def test_an_answer_without_an_option_decides_nothing(ledger: Ledger, report: Report, asking: Asking) -> None:
    report()
    asking.ask()
    asking.answer(None)
    assert values_of(ledger) == []
    assert asking.ask() and "no option was chosen" in (asking.task.body or "")


def test_an_option_that_was_not_offered_is_refused(report: Report, asking: Asking) -> None:
    report()
    asking.ask()
    with pytest.raises(ValueError, match="Throw it away"):
        asking.answer("Throw it away")


def test_the_same_answer_given_twice_is_decided_once(ledger: Ledger, report: Report, asking: Asking) -> None:
    report()
    asking.ask()
    for _ in range(2):
        asking.answer("Apply the proposals")
    assert len(journal.entries(ledger, event="decision")) == 1


def test_an_old_page_that_airflow_shows_again_decides_nothing(ledger: Ledger, report: Report, asking: Asking) -> None:
    report("~a")
    asking.ask()
    old = asking.asked["params"]
    report("~b")
    asking.ask()  # cleared: Airflow goes on showing the old page
    asking.asked["params"] = old
    asking.answer("Leave these out")
    assert values_of(ledger) == []
    assert asking.ask() and "does not show what is open now" in (asking.task.body or "")


def test_what_was_decided_meanwhile_is_not_decided_again(ledger: Ledger, report: Report, asking: Asking) -> None:
    problem = report("~a")
    report("~b", proposal={"action": "rename", "name": "b"})
    asking.ask()
    with ledger.session() as session:
        problems.decide(session, problem.id, Option.LEAVE_OUT, {}, decided_by="helpdesk", source="csv", origin=ORIGIN)
    asking.answer("Apply the proposals")
    by = {each.subject: decision.decided_by for each, decision in problems.decisions(ledger, "anna", "mailbox")}
    assert by == {"~a": "helpdesk", "~b": "postmaster"}


def test_with_airflow_thrown_away_nobody_is_asked_twice(ledger: Ledger, report: Report, asking: Asking) -> None:
    report()
    asking.ask()
    asking.answer("Apply the proposals")
    # A new Airflow knows nothing: only the ledger is left, and a pass meets the same problem again before it settles.
    report_again = Problem("anna", "mailbox", "folder-name", "~x", "", facts={"folder": "~x"})
    with ledger.session() as session:
        problems.report(session, report_again)
    assert not asking.ask()
    assert len(values_of(ledger)) == 1


def test_look_again_decides_nothing_and_asks_again_while_it_is_there(
    ledger: Ledger, report: Report, asking: Asking
) -> None:
    report()
    asking.ask()
    asking.answer("I repaired it by hand, look again")
    assert values_of(ledger) == []
    assert asking.ask()


def test_the_form_offers_the_actions_among_which_one_may_choose(asking: Asking, ledger: Ledger, report: Report) -> None:
    problem = report("~x", details={"choices": ["rename", "leave_it"]})
    asking.ask()
    field = asking.asked["params"][f"{problem.id}.action"]
    assert (field["value"], field["schema"]["enum"]) == ("rename", ["rename", "leave_it"])
    assert "or, in the form, leave it" in asking.task.body.replace("\\", "")
    asking.answer(Option.APPLY.value, **{f"{problem.id}_action": "leave_it"})
    with ledger.reading() as session:
        decided = problems.last_decision(session, problem.id)
    assert decided is not None
    assert decided.values["action"] == "leave_it"

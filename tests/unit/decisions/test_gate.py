"""The gate's own check, and the passes over one mailbox that come before it."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from bascule import directory, mailbox, site
from bascule.decisions import record
from bascule.decisions.record import Choice
from bascule.directory import Account
from bascule.ledger import Ledger, mailboxes, problems
from bascule.ledger.problems import Option, Problem
from bascule.mailbox.types import PassResult
from bascule.operators import gate
from bascule.operators.mailbox import pass_over
from bascule.operators.runtime import Run

from tests.unit.decisions.conftest import AUTHOR, ORIGIN

Report = Callable[..., Problem]
SITE = site.load(Path(__file__).parents[3] / "lab" / "site.yaml")


class Killed(BaseException):
    """The end of a task's process, as far as a test can have it."""


@pytest.fixture
def run(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(directory, "accounts", lambda access, selection: [Account("anna", "uid=anna")])
    return Run(SITE, None, ledger, ORIGIN, dry_run=False, selection="all")  # type: ignore[arg-type]


def state(ledger: Ledger, name: mailboxes.MailboxState) -> None:
    with ledger.session() as session:
        mailboxes.set_mailbox(session, "anna", name)


def test_a_verified_mailbox_passes(run: Run) -> None:
    state(run.ledger, "verified")
    gate.refuse_open_problems(run)


def test_a_mailbox_kept_on_old_passes(run: Run) -> None:
    state(run.ledger, "kept on old")
    gate.refuse_open_problems(run)


@pytest.mark.parametrize("name", ["unknown", "copying", "problems", "failed"])
def test_no_other_mailbox_passes(run: Run, name: mailboxes.MailboxState) -> None:
    state(run.ledger, name)
    with pytest.raises(AirflowFailException, match=f"anna: the mailbox is in the state `{name}`"):
        gate.refuse_open_problems(run)


def test_a_mailbox_that_nobody_has_looked_at_does_not_pass(run: Run) -> None:
    with pytest.raises(AirflowFailException, match="state `unknown`"):
        gate.refuse_open_problems(run)


def test_an_open_problem_does_not_pass(run: Run, report: Report) -> None:
    state(run.ledger, "verified")
    report(account="bert")
    with pytest.raises(AirflowFailException, match="have open problems \\(bert\\)"):
        gate.refuse_open_problems(run)


def test_what_was_decided_and_not_settled_does_not_pass(run: Run, report: Report) -> None:
    state(run.ledger, "verified")
    record.record(run.ledger, [Choice(report(), Option.APPLY)], AUTHOR)
    with pytest.raises(AirflowFailException, match="has not been settled"):
        gate.refuse_open_problems(run)


def passes(monkeypatch: pytest.MonkeyPatch, *outcomes: Callable[[Ledger], int]) -> list[str]:
    """Put these passes in the engine's place; returns the accounts that it was called for."""
    called: list[str] = []

    def sync(job: Any, ledger: Ledger, **_: Any) -> PassResult:
        called.append("anna")
        left = outcomes[min(len(called), len(outcomes)) - 1](ledger)
        return PassResult("anna", 1, 1, 1, 1, 0, 0, left, 1, 0.1, False)

    monkeypatch.setattr(mailbox, "sync_mailbox", sync)
    monkeypatch.setattr(mailbox, "job_for", lambda access, account: None)
    return called


def met_again(ledger: Ledger) -> int:
    with ledger.session() as session:
        problems.report(session, Problem("anna", "mailbox", "folder-name", "~x", "", facts={"folder": "~x"}))
    return len(problems.problems(ledger))


def applied(ledger: Ledger) -> int:
    with ledger.session() as session:
        for problem, _ in problems.decisions(ledger, "anna", "mailbox"):
            problems.settle(session, problem.id)
    return len(problems.problems(ledger))


def test_a_task_killed_between_decision_and_settling_applies_it_once(
    run: Run, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    record.record(run.ledger, [Choice(report(), Option.APPLY)], AUTHOR)

    def killed(ledger: Ledger) -> int:
        raise Killed

    passes(monkeypatch, killed, applied)
    with contextlib.suppress(Killed):
        pass_over(run, "anna", write_failure=True)
    assert [decision.option for _, decision in problems.decisions(run.ledger, "anna", "mailbox")] == [Option.APPLY]
    assert pass_over(run, "anna", write_failure=True).problems == 0
    assert [each.state for each, _ in problems.all_decisions(run.ledger)] == ["settled"]


def test_a_name_that_is_refused_again_asks_again(run: Run, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    record.record(run.ledger, [Choice(report(), Option.APPLY)], AUTHOR)
    passes(monkeypatch, met_again)
    assert pass_over(run, "anna", write_failure=True).problems == 1
    assert problems.accounts_with_open(run.ledger) == ["anna"]
    assert mailboxes.mailbox_states(run.ledger)["anna"].state == "problems"


def test_a_standing_decision_is_taken_and_the_pass_runs_once_more(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    standing = run.site.model_copy(update={"decisions": {"mailbox/folder-name": "leave out"}})
    called = passes(monkeypatch, met_again, applied)
    run = Run(standing, run.access, run.ledger, ORIGIN, dry_run=False, selection="all")
    assert pass_over(run, "anna", write_failure=True).problems == 0
    assert len(called) == 2
    (decided,) = problems.all_decisions(run.ledger)
    assert (decided[0].state, decided[1].source) == ("settled", "standing")


def test_a_mailbox_kept_on_old_is_left_alone(run: Run, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    record.record(run.ledger, [Choice(report(), Option.KEEP_ON_OLD)], AUTHOR)
    called = passes(monkeypatch, applied)
    assert pass_over(run, "anna", write_failure=True).problems == 0
    assert called == []
    assert mailboxes.mailbox_states(run.ledger)["anna"].state == "kept on old"
    gate.refuse_open_problems(run)

"""The gate's own check, and the passes over one mailbox that come before it."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bascule import mailbox, site
from bascule.hosts import directory
from bascule.hosts.directory import Account
from bascule.ledger import Ledger, journal, mailboxes, moves, phases
from bascule.ledger.moves import State
from bascule.mailbox.problems import PassProblems
from bascule.mailbox.result import PassResult
from bascule.problems import record, store
from bascule.problems.model import Option, Problem
from bascule.problems.record import Choice
from bascule.tasks import gate
from bascule.tasks.mailbox import pass_over
from bascule.tasks.run import NeedsPerson, Run

from tests.unit.problems.conftest import AUTHOR, ORIGIN

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


def test_who_has_moved_before_needs_no_look_of_the_day(run: Run) -> None:
    state(run.ledger, "verified")
    phases.mark(run.ledger, "freeze", "started", ORIGIN)
    with pytest.raises(NeedsPerson, match="nobody has looked at the mailbox since the freeze began"):
        gate.refuse_open_problems(run)
    moves.note(run.ledger, moves.begin(run.ledger, "anna", "new", {}, "run-0"), State.DONE)
    gate.refuse_open_problems(run)
    assert "- moved to new on their own, and left alone by the day: 1 \\(anna\\)" in gate.evidence(run).splitlines()


@pytest.mark.parametrize("name", ["unknown", "copying", "problems", "failed"])
def test_no_other_mailbox_passes(run: Run, name: mailboxes.MailboxState) -> None:
    state(run.ledger, name)
    with pytest.raises(NeedsPerson, match=f"anna: the mailbox is in the state `{name}`"):
        gate.refuse_open_problems(run)


def test_a_mailbox_that_nobody_has_looked_at_does_not_pass(run: Run) -> None:
    with pytest.raises(NeedsPerson, match="state `unknown`"):
        gate.refuse_open_problems(run)


def test_an_open_problem_does_not_pass(run: Run, report: Report) -> None:
    state(run.ledger, "verified")
    report(account="bert")
    with pytest.raises(NeedsPerson, match="have open problems \\(bert\\)"):
        gate.refuse_open_problems(run)


def test_what_was_decided_and_not_settled_does_not_pass(run: Run, report: Report) -> None:
    state(run.ledger, "verified")
    record.record(run.ledger, [Choice(report(), Option.APPLY)], AUTHOR)
    with pytest.raises(NeedsPerson, match="has not been settled"):
        gate.refuse_open_problems(run)


def test_the_page_has_numbers_first_then_what_is_unusual_then_a_link(
    run: Run, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://flow.example")
    state(run.ledger, "verified")
    for number in range(9):
        left_out = report(subject=f"INBOX.{number}")
        record.record(run.ledger, [Choice(left_out, Option.LEAVE_OUT)], AUTHOR)
    numbers, _, rest = gate.evidence(run).partition("**By name:**")

    assert numbers.startswith("- mailboxes: 1 \\(1 verified\\)")
    assert "left out by decision: 9" in numbers and "left out for" not in numbers
    assert journal.head(run.ledger).hash in numbers
    assert rest.count("left out for") == gate.AT_THE_GATE
    assert rest.endswith("[All of it](https://flow.example/bascule/evidence)")


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
        store.report(session, Problem("anna", "mailbox", "folder-name", "~x", "", facts={"folder": "~x"}))
    return len(store.problems(ledger))


def applied(ledger: Ledger) -> int:
    with ledger.session() as session:
        for problem, _ in store.decisions(ledger, "anna", "mailbox"):
            store.settle(session, problem.id)
    return len(store.problems(ledger))


def test_a_task_killed_between_decision_and_settling_applies_it_once(
    run: Run, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    record.record(run.ledger, [Choice(report(), Option.APPLY)], AUTHOR)

    def killed(ledger: Ledger) -> int:
        raise Killed

    passes(monkeypatch, killed, applied)
    with contextlib.suppress(Killed):
        pass_over(run, "anna", last_try=True)
    assert [decision.option for _, decision in store.decisions(run.ledger, "anna", "mailbox")] == [Option.APPLY]
    assert pass_over(run, "anna", last_try=True).problems == 0
    assert [each.state for each, _ in store.all_decisions(run.ledger)] == ["settled"]


def test_a_name_that_is_refused_again_asks_again(run: Run, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    record.record(run.ledger, [Choice(report(), Option.APPLY)], AUTHOR)
    passes(monkeypatch, met_again)
    assert pass_over(run, "anna", last_try=True).problems == 1
    assert store.accounts_with_open(run.ledger) == ["anna"]
    assert mailboxes.mailbox_states(run.ledger)["anna"].state == "problems"


def test_a_standing_decision_is_taken_and_the_pass_runs_once_more(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    standing = run.site.model_copy(update={"decisions": {"mailbox/folder-name": "leave out"}})
    called = passes(monkeypatch, met_again, applied)
    run = Run(standing, run.access, run.ledger, ORIGIN, dry_run=False, selection="all")
    assert pass_over(run, "anna", last_try=True).problems == 0
    assert len(called) == 2
    (decided,) = store.all_decisions(run.ledger)
    assert (decided[0].state, decided[1].source) == ("settled", "standing")


@pytest.mark.parametrize("option", [Option.LEAVE_OUT, Option.KEEP_ON_OLD])
def test_what_a_person_decides_while_a_pass_goes_on_is_carried_out_and_not_asked_again(
    run: Run, report: Report, monkeypatch: pytest.MonkeyPatch, option: Option
) -> None:
    """In the control room or a spreadsheet; the pass that goes on does not know of it and meets the problem."""
    problem = report()
    seen = PassProblems(run.ledger, "anna")

    def meets_it_while_a_person_decides(ledger: Ledger) -> int:
        seen.load()
        record.record(ledger, [Choice(problem, option)], AUTHOR)
        seen.found.append(problem)
        return seen.write(complete=True)

    called = passes(monkeypatch, meets_it_while_a_person_decides, applied)
    assert pass_over(run, "anna", last_try=True).problems == 0
    assert len(called) == (1 if option is Option.KEEP_ON_OLD else 2)
    (decided,) = store.all_decisions(run.ledger)
    assert (decided[0].state, decided[1].option) == ("settled", option)
    assert len(journal.entries(run.ledger, event="decision")) == 1


def test_a_mailbox_kept_on_old_is_left_alone(run: Run, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    record.record(run.ledger, [Choice(report(), Option.KEEP_ON_OLD)], AUTHOR)
    called = passes(monkeypatch, applied)
    assert pass_over(run, "anna", last_try=True).problems == 0
    assert called == []
    assert mailboxes.mailbox_states(run.ledger)["anna"].state == "kept on old"
    gate.refuse_open_problems(run)

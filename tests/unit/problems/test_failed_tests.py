"""The gate after the functional tests: who is asked about what, and what each answer does."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bascule import site
from bascule.checks.functional.run import functional_tests
from bascule.ledger import Ledger, journal
from bascule.tasks.failed_tests import GO_ON, STOP, failed_tests, page, question, take_answer
from bascule.tasks.run import NeedsPerson, Run

from tests.unit.problems.conftest import HOSTILE, ORIGIN

SITE = site.load(Path(__file__).parents[3] / "lab" / "site.yaml")
Note = Callable[..., None]


@pytest.fixture
def run(ledger: Ledger) -> Run:
    return Run(SITE, None, ledger, ORIGIN, dry_run=False, selection="all")  # type: ignore[arg-type]


@pytest.fixture
def note(run: Run) -> Note:
    """Write the result of a test into the journal, as `functional_test` does."""

    def write(name: str, evidence: str = "", run_id: str = ORIGIN.run) -> None:
        after = {"ok": not evidence, "evidence": evidence or "seen"}
        entry = journal.Entry("note", "functional test", name, replace(ORIGIN, run=run_id), after=after)
        journal.append(run.ledger, entry)

    return write


@pytest.fixture
def all_passed(note: Note) -> None:
    for name in functional_tests(SITE):
        note(name)


def test_nobody_is_asked_when_all_have_passed(run: Run, all_passed: None) -> None:
    assert failed_tests(run) == {}


def test_a_failed_test_is_shown_with_what_to_look_at(run: Run, all_passed: None, note: Note) -> None:
    note("pop3-login", "look at the log of POP3 on new")
    assert failed_tests(run) == {"pop3-login": "look at the log of POP3 on new"}
    assert "look at the log of POP3 on new" in page(failed_tests(run))
    assert "clear the failed `functional_test` tasks" in page(failed_tests(run))


def test_the_journals_head_is_told_before_anybody_answers(
    run: Run, all_passed: None, note: Note, capsys: pytest.CaptureFixture[str]
) -> None:
    note("pop3-login", "refused")
    asked, head = question(run), journal.head(run.ledger)
    assert asked is not None
    assert f"row {head.number}" in asked.body and head.hash in asked.body
    assert head.hash in capsys.readouterr().out


def test_a_test_that_passed_when_it_was_run_again_has_passed(run: Run, all_passed: None, note: Note) -> None:
    note("pop3-login", "refused")
    note("pop3-login")
    assert failed_tests(run) == {}


def test_what_another_run_saw_does_not_count(run: Run, all_passed: None, note: Note) -> None:
    note("pop3-login", "refused", run_id="yesterday")
    assert failed_tests(run) == {}


def test_a_test_that_died_has_failed(run: Run, note: Note) -> None:
    for name in functional_tests(SITE)[1:]:
        note(name)
    assert list(failed_tests(run)) == [functional_tests(SITE)[0]]


def test_tests_that_were_never_run_are_no_question_for_a_person(run: Run) -> None:
    with pytest.raises(NeedsPerson, match="have not been run"):
        failed_tests(run)


def test_go_on_stands_in_the_journal_with_what_had_failed(run: Run, all_passed: None, note: Note) -> None:
    note("pop3-login", "refused")
    take_answer(run, [GO_ON], "postmaster")
    [entry] = journal.entries(run.ledger, kind="gate", event="decision")
    assert entry.before == {"failed": {"pop3-login": "refused"}}
    assert entry.after == {"option": GO_ON, "decided_by": "postmaster"}


@pytest.mark.parametrize("chosen", [[STOP], [], [GO_ON, STOP]])
def test_any_other_answer_stops_the_day_and_says_how_to_go_on(
    run: Run, all_passed: None, note: Note, chosen: list[str]
) -> None:
    note("pop3-login", "refused")
    with pytest.raises(NeedsPerson, match=r"pop3-login(?s:.*)clear the failed"):
        take_answer(run, chosen, "postmaster")
    [entry] = journal.entries(run.ledger, kind="gate", event="decision")
    assert (entry.after or {})["option"] == STOP


@pytest.mark.parametrize("text", HOSTILE)
def test_what_servers_say_is_only_text_on_the_page(text: str) -> None:
    shown = page({"imap-login": text})
    assert "<script" not in shown and "<img" not in shown
    assert "](javascript" not in shown

"""A task's question about one account: what it shows and records, what is refused and asked again, killed tasks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bascule import site
from bascule.ledger import Ledger, journal, phases
from bascule.ledger.base import now
from bascule.operators.base import LOST, RETRIES
from bascule.operators.hitl import SyncMailbox
from bascule.problems import record, store
from bascule.problems.model import Option, Problem
from bascule.problems.record import Author, Choice
from bascule.tasks import gate, review
from bascule.tasks.run import NeedsPerson, Run, TryAgain

from tests.unit.problems.asking import Asking
from tests.unit.problems.conftest import ORIGIN

Report = Callable[..., Problem]
SITE = site.load(Path(__file__).parents[3] / "lab" / "site.yaml")
APPLY, LOOK_AGAIN = Option.APPLY.value, Option.LOOK_AGAIN.value
FORECAST = {
    "seconds": 100, "acts": 52, "look": 8, "mailboxes": 40, "filters": 3, "calendars": 5, "with a task": 7,
    "slots": 4, "questions": 2, "slowest": {"anna": 3.5, "<b>bert*": 9.0},
}  # fmt: skip
OUTAGE = "the outage takes about 100 seconds (60 to 180), and as long as people take to answer: acts 52 s"


@pytest.fixture
def asking(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Asking:
    phases.mark(ledger, "prepare", "finished", ORIGIN)
    return Asking(ledger, SITE, monkeypatch)


def values_of(ledger: Ledger) -> list[dict[str, Any]]:
    return [decision.chosen.stored() for _, decision in store.decisions(ledger, "anna", "mailbox")]


def test_with_nothing_open_nobody_is_asked(asking: Asking) -> None:
    assert asking.start() == "success"
    assert asking.passes == 1, "what was decided before and never settled"


def test_only_those_whom_the_site_file_names_may_answer(report: Report, asking: Asking) -> None:
    report()
    asking.start()
    assert SITE.gates.reviewers == ["postmaster"]
    assert [user["id"] for user in asking.asked.assigned_users] == SITE.gates.reviewers


def test_an_edited_name_is_decided_and_the_same_task_settles_it(ledger: Ledger, report: Report, asking: Asking) -> None:
    report()
    assert asking.start() == "awaiting_input"
    assert asking.passes == 0
    assert asking.answer(APPLY, **{"1_name": "Notes"}) == "success"
    assert asking.passes == 1
    assert values_of(ledger) == [{"action": "rename", "name": "Notes"}]


def test_a_wrong_name_is_asked_again_with_the_reason_and_what_was_typed(
    ledger: Ledger, report: Report, asking: Asking
) -> None:
    report("~a")
    report("~b", proposal={"action": "rename", "name": "b"})
    asking.start()
    assert asking.answer(APPLY, **{"1_name": "../etc", "2_name": "Bons noms"}) == "deferred"
    assert values_of(ledger) == [] and asking.passes == 0
    assert asking.waiting_for.startswith("problems.review~anna~day~")
    assert "separates the levels" in asking.page["body"]
    assert [asking.page["params"][key]["value"] for key in ("1.name", "2.name")] == ["../etc", "Bons noms"]
    assert asking.answer(APPLY, **{"1_name": "etc"}) == "success"
    assert set(asking.phases) == {"problems"}, "also of what the run of `ask_again` writes"


def test_what_a_decision_did_not_settle_is_asked_again_as_often_as_it_takes(
    ledger: Ledger, report: Report, asking: Asking
) -> None:
    problem = report()

    def refuses(last_try: bool) -> None:
        began = now()
        with ledger.session() as session:
            store.report(session, problem)
            store.reopen_unsettled(session, "anna", ("mailbox",), since=began)

    asking.work = refuses
    asking.start()
    for _ in range(3 * RETRIES):
        assert asking.answer(APPLY, **{"1_name": "dbox-Mails"}) == "deferred"
    assert "Decided before" in asking.page["body"]
    assert asking.task.try_number == 1, "no question costs a try"
    asking.work = lambda last_try: None
    assert asking.answer(APPLY, **{"1_name": "Notes"}) == "success"


def test_an_answer_without_an_option_decides_nothing(ledger: Ledger, report: Report, asking: Asking) -> None:
    report()
    asking.start()
    assert asking.answer(None) == "deferred"
    assert values_of(ledger) == []
    assert "no option was chosen" in asking.page["body"]


def test_the_same_answer_given_twice_is_decided_once(ledger: Ledger, report: Report, asking: Asking) -> None:
    report()
    asking.start()
    for _ in range(2):
        assert asking.answer(APPLY) == "success"
    assert len(journal.entries(ledger, event="decision")) == 1


def test_a_question_that_is_cleared_while_it_waits_is_asked_on_the_same_page(report: Report, asking: Asking) -> None:
    report("~a")
    asking.start()
    asking.clear()
    assert asking.start() == "awaiting_input"
    assert asking.answer(APPLY) == "success"


def test_what_is_new_since_the_page_was_made_is_asked_on_another_one(
    ledger: Ledger, report: Report, asking: Asking
) -> None:
    report("~a")
    asking.start()
    report("~b")
    asking.clear()
    assert asking.start() == "deferred"
    assert "~b" in asking.page["body"] and "~b" not in (asking.task.page or {})["body"]
    assert asking.answer_old_page(Option.LEAVE_OUT.value) == "deferred", "it stands under Required Actions all the same"
    assert values_of(ledger) == []
    assert len(asking.again) == 1, "the run that waits already is waited for"
    assert asking.answer(APPLY, **{"1_name": "a", "2_name": "b"}) == "success"


def test_of_two_people_the_first_one_decides(ledger: Ledger, report: Report, asking: Asking) -> None:
    problem = report("~a")
    report("~b", proposal={"action": "rename", "name": "b"})
    asking.start()
    record.record(ledger, [Choice(problem, Option.LEAVE_OUT)], Author("helpdesk", "csv", ORIGIN))
    assert asking.answer(APPLY) == "success"
    by = {each.subject: decision.decided_by for each, decision in store.decisions(ledger, "anna", "mailbox")}
    assert by == {"~a": "helpdesk", "~b": "postmaster"}


def test_with_airflow_thrown_away_nobody_is_asked_twice(
    ledger: Ledger, report: Report, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    report()
    asking.start()
    asking.answer(APPLY)
    # A new Airflow knows nothing: only the ledger is left, and a pass meets the same problem again before it settles.
    report_again = Problem("anna", "mailbox", "folder-name", "~x", "", facts={"folder": "~x"})
    with ledger.session() as session:
        store.report(session, report_again)
    assert Asking(ledger, SITE, monkeypatch).start() == "success"
    assert [each.state for each in store.problems(ledger, states=("open", "decided"))] == ["decided"]


def test_a_task_killed_between_decision_and_settling_settles_in_its_next_try_and_asks_nobody(
    ledger: Ledger, report: Report, asking: Asking
) -> None:
    report()
    asking.start()

    class Killed(BaseException):
        pass

    def killed(last_try: bool) -> None:
        raise Killed

    asking.work = killed
    with pytest.raises(Killed):
        asking.answer(APPLY)
    asking.work = lambda last_try: None
    assert asking.start() == "success"
    assert len(journal.entries(ledger, event="decision")) == 1


def test_a_process_that_is_ended_from_outside_again_and_again_is_given_up(report: Report, asking: Asking) -> None:
    report()
    asking.start()
    asking.task.try_number += LOST  # each of them ended before it could say anything
    assert asking.start() == "failed"
    asking.clear()
    assert asking.start() == "awaiting_input"


def test_an_answer_that_airflow_has_lost_is_asked_for_again_also_where_the_pass_does_not_look(
    ledger: Ledger, report: Report, asking: Asking
) -> None:
    report(room="sieve", kind="filter never ran", proposal={"action": "repair", "text": "keep;"})
    asking.start()
    assert asking.start() == "awaiting_input", "the next try, which the scheduler begins instead of going on"
    assert asking.passes == 0
    assert asking.answer(APPLY) == "success"
    assert [each.state for each in store.problems(ledger, states=("open", "decided"))] == ["decided"]


def test_look_again_decides_nothing_and_asks_again_while_it_is_there(
    ledger: Ledger, report: Report, asking: Asking
) -> None:
    report()
    asking.start()
    assert asking.answer(LOOK_AGAIN) == "deferred"
    assert values_of(ledger) == []
    with ledger.session() as session:
        store.withdraw_unseen(session, "anna", "mailbox", seen=())
    assert asking.answer(LOOK_AGAIN) == "success"


def test_before_the_day_another_look_at_a_filter_is_left_to_its_own_pass(report: Report, asking: Asking) -> None:
    report(room="sieve", kind="filter never ran", proposal={"action": "repair", "text": "keep;"})
    assert asking.start() == "awaiting_input"
    assert asking.answer(LOOK_AGAIN) == "success"


def test_the_form_offers_the_actions_among_which_one_may_choose(asking: Asking, ledger: Ledger, report: Report) -> None:
    problem = report("/e.ics", room="calendar", kind="both-changed", proposal={"action": "keep_new"})
    asking.start()
    field = asking.page["params"][f"{problem.id}.action"]
    assert (field["value"], field["schema"]["enum"]) == ("keep_new", ["keep_new", "take_old"])
    assert "or, in the form, take old" in asking.page["body"].replace("\\", "")
    asking.answer(Option.APPLY.value, **{f"{problem.id}_action": "take_old"})
    with ledger.reading() as session:
        decided = store.last_decision(session, problem.id)
    assert decided is not None
    assert decided.chosen.action == "take_old"


class TestOnTheDay:
    """`mailbox.sync` of `transfer`: it looks first, and asks about what it met."""

    @pytest.fixture
    def syncing(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Asking:
        phases.mark(ledger, "prepare", "finished", ORIGIN)
        return Asking(ledger, SITE, monkeypatch, SyncMailbox)

    def test_a_clean_mailbox_asks_nobody(self, syncing: Asking) -> None:
        assert syncing.start() == "success"
        assert syncing.passes == 1

    def test_a_problem_is_asked_after_the_pass_and_settled_by_the_next_one(
        self, syncing: Asking, report: Report
    ) -> None:
        syncing.work = lambda last_try: None if syncing.passes > 1 else report() and None
        assert syncing.start() == "awaiting_input"
        assert syncing.answer(APPLY) == "success"
        assert syncing.passes == 2

    def test_what_may_pass_by_itself_is_tried_again_and_then_asked(self, syncing: Asking, report: Report) -> None:
        def broken(last_try: bool) -> None:
            if not last_try:
                raise TryAgain("the connection broke")
            report("anna", room="account", kind="pass failed", proposal={"action": "look again"})

        syncing.work = broken
        assert [syncing.start() for _ in range(RETRIES + 1)] == ["up_for_retry"] * RETRIES + ["awaiting_input"]
        # Questions cost none of the tries: after this one there are as many again.
        assert syncing.answer(LOOK_AGAIN) == "up_for_retry"
        assert [syncing.start() for _ in range(RETRIES + 1)] == ["up_for_retry"] * RETRIES + ["deferred"]

    def test_what_a_person_must_mend_first_fails_at_once(self, syncing: Asking) -> None:
        def refused(last_try: bool) -> None:
            raise NeedsPerson("the site file is wrong")

        syncing.work = refused
        assert syncing.start() == "failed"
        syncing.clear()
        syncing.work = lambda last_try: None
        assert syncing.start() == "success"

    def test_a_mistake_of_bascules_own_is_tried_again_and_fails(self, syncing: Asking) -> None:
        def wrong(last_try: bool) -> None:
            raise ZeroDivisionError

        syncing.work = wrong
        assert [syncing.start() for _ in range(RETRIES + 1)] == ["up_for_retry"] * RETRIES + ["failed"]


class TestTheDaysFirstQuestions:
    """They show the forecast: whichever is asked first, of a mailbox or at the gate."""

    @staticmethod
    def question(ledger: Ledger, phase: str = "transfer") -> str:
        origin = journal.Origin(phase, "day", "mailbox.sync[0]", "postmaster")
        asked = review.question(Run(SITE, None, ledger, origin), "anna", ("mailbox",))  # type: ignore[arg-type]
        assert asked is not None
        return asked.body.replace("\\", "")

    @pytest.fixture(autouse=True)
    def day(self, ledger: Ledger, report: Report) -> None:
        report()
        journal.append(ledger, journal.Entry("note", "forecast", "window", ORIGIN, after=FORECAST))

    def test_until_somebody_has_answered(self, ledger: Ledger, report: Report) -> None:
        author = Author("postmaster", "page", ORIGIN)
        record.record(ledger, [Choice(report("~before", "bert"), Option.APPLY)], author)
        assert OUTAGE not in self.question(ledger), "the freeze has not begun"
        phases.mark(ledger, "freeze", "started", ORIGIN)
        body = self.question(ledger)
        assert OUTAGE in body
        assert body.index("&lt;b&gt;bert* 9 s") < body.index("anna 3.5 s"), "the slowest one first, and harmless"
        record.record(ledger, [Choice(report("~first", "carl"), Option.APPLY)], replace(author, source="standing"))
        assert OUTAGE in self.question(ledger), "the site file has answered, and no person"
        record.record(ledger, [Choice(report("~later", "dora"), Option.APPLY)], author)
        assert OUTAGE not in self.question(ledger)

    def test_those_of_the_days_before_do_not(self, ledger: Ledger) -> None:
        phases.mark(ledger, "freeze", "started", ORIGIN)
        assert OUTAGE not in self.question(ledger, "problems")

    def test_without_a_forecast_nothing_is_said(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        phases.mark(ledger, "freeze", "started", ORIGIN)
        monkeypatch.setattr("bascule.views.forecast.KIND", "no such kind")
        assert "outage" not in self.question(ledger)

    def test_the_gate_does_whoever_has_answered_before(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("bascule.tasks.accounts.names", lambda run: [])
        phases.mark(ledger, "freeze", "started", ORIGIN)
        run = Run(SITE, None, ledger, journal.Origin("cutover", "day", "go_no_go"))  # type: ignore[arg-type]
        assert OUTAGE in gate.evidence(run).replace("\\", "")

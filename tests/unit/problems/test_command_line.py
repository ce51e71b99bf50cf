"""`make decide`: who may, what is recorded, which waiting questions are let go."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from bascule.ledger import Ledger, journal
from bascule.problems import __main__ as command
from bascule.problems import store
from bascule.problems.model import Problem
from bascule.problems.rest import Airflow, AirflowRefused, Question

Report = Callable[..., Problem]
SITE = Path(__file__).parents[3] / "lab" / "site.yaml"


class Waiting:
    """An Airflow in which reviews of these accounts wait."""

    def __init__(self, user: str, *questions: Question) -> None:
        self.user, self._questions, self.answered = user, list(questions), []
        self.runs: list[str] = []
        self.broken = False

    def questions(self) -> list[Question]:
        return self._questions

    def answer(self, question: Question, option: str) -> bool:
        if self.broken:
            raise AirflowRefused("Airflow can't be reached")
        self.answered.append((question.task, question.account))
        self.runs.append(question.run)
        return True


def question(account: str, task: str = "mailbox.review", dag: str = "transfer") -> Question:
    return Question(dag, "run", task, 0, account, {})


@pytest.fixture
def deciding(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """List into a file, write one decision into the lines of these accounts, take the file back."""
    monkeypatch.setenv("BASCULE_LEDGER", ledger.url)
    monkeypatch.setenv("BASCULE_SITE", str(SITE))

    def decide(airflow: Waiting, decision: str, *accounts: str) -> int:
        monkeypatch.setattr(Airflow, "from_environment", classmethod(lambda cls: airflow))
        file = tmp_path / "open.csv"
        assert command.main(["list", "--csv", str(file)]) == 0
        header, *lines = csv.reader(io.StringIO(file.read_text(encoding="utf-8-sig"), newline=""))
        for line in lines:
            if line[header.index("account")] in accounts:
                line[header.index("decision")] = decision
        with file.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([header, *lines])
        return command.main(["take", str(file)])

    return decide


def test_a_decision_bears_the_name_of_the_login_and_its_source(
    ledger: Ledger, report: Report, deciding: Callable[..., int]
) -> None:
    report()
    assert deciding(Waiting("postmaster"), "apply", "anna") == 0
    (entry,) = journal.entries(ledger, event="decision")
    assert ((entry.after or {})["decided_by"], (entry.after or {})["source"]) == ("postmaster", "csv")


def test_who_is_no_reviewer_decides_nothing(
    ledger: Ledger, report: Report, deciding: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    report()
    assert deciding(Waiting("helpdesk"), "apply", "anna") == 1
    assert "helpdesk may not decide" in capsys.readouterr().err
    assert len(store.problems(ledger)) == 1


def test_a_wrong_line_is_named_and_no_question_is_answered(
    ledger: Ledger, report: Report, deciding: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    report()
    airflow = Waiting("postmaster", question("anna"))
    assert deciding(airflow, "maybe", "anna") == 1
    assert "nothing was decided" in (said := capsys.readouterr().err) and "line 2: no decision is called" in said
    assert airflow.answered == []


def test_only_questions_with_nothing_left_are_answered(
    ledger: Ledger, report: Report, deciding: Callable[..., int]
) -> None:
    for account in ("anna", "bert"):
        report(account=account)
    report("filter", room="sieve", kind="filter never ran", proposal={"action": "repair", "text": "keep;"})
    airflow = Waiting("postmaster", question("anna"), question("bert"), question("anna", "repair_filters.review"))
    with ledger.session() as session:
        store.withdraw_unseen(session, "anna", "sieve", seen=())
    report("other", room="calendar", kind="uid", proposal={"action": "new_uid"}, account="carl")
    assert deciding(airflow, "apply", "anna") == 0
    assert sorted(airflow.answered) == [("mailbox.review", "anna"), ("repair_filters.review", "anna")]
    assert [each.account for each in store.problems(ledger)] == ["bert", "carl"]


def test_a_second_round_is_a_question_about_what_its_task_asks_about(
    ledger: Ledger, report: Report, deciding: Callable[..., int]
) -> None:
    report()
    report("filter", room="sieve", kind="filter never ran", proposal={"action": "repair", "text": "keep;"})
    of_filters, of_mailbox = (
        Question("ask_again", f"transfer.{task}~anna~day~mark~1", "review", 0, "anna", {})
        for task in ("repair_filters.review", "mailbox.sync")
    )
    with ledger.session() as session:
        store.withdraw_unseen(session, "anna", "mailbox", seen=())
    airflow = Waiting("postmaster", of_filters, of_mailbox)
    assert deciding(airflow, "") == 0
    assert airflow.runs == [of_mailbox.run]


def test_run_again_it_answers_the_questions_to_which_it_did_not_come(
    ledger: Ledger, report: Report, deciding: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for account in ("anna", "bert"):
        report(account=account)
    airflow = Waiting("postmaster", question("anna"), question("bert"), question("carl"))
    airflow.broken = True
    assert deciding(airflow, "apply", "anna") == 1
    assert "The decisions stand; run this again" in capsys.readouterr().err
    airflow.broken = False
    assert deciding(airflow, "apply", "anna") == 0
    assert airflow.answered == [("mailbox.review", "anna")]
    assert len(journal.entries(ledger, event="decision")) == 1


def test_a_password_stands_in_the_environment_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BASCULE_AIRFLOW_PASSWORD", raising=False)
    with pytest.raises(AirflowRefused, match="BASCULE_AIRFLOW_PASSWORD"):
        Airflow.from_environment()

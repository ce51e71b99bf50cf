"""The prepared answers of the demo: which question they fit, and what they write into its form."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.airflow import answering
from lab.airflow.answering import TIMES, Answerer, Rule, days_before, read_rules
from lab.airflow.processes import Home, environment
from lab.demo import ANSWERS
from lab.paths import Instance
from lab.shell import LabError


def question(account: str, task: str = "mailbox.sync", dag: str = "transfer", **fields: str) -> dict[str, Any]:
    return {
        "task_instance": {"dag_id": dag, "dag_run_id": "manual__1", "task_id": task, "rendered_map_index": account},
        "params": {key: {"value": "x", "schema": {"title": title}} for key, title in fields.items()},
    }


def first(asked: dict[str, Any]) -> Rule:
    return next(rule for rule in read_rules(ANSWERS) if rule.fits(asked))


def test_an_answer_for_one_account_fits_no_other() -> None:
    assert first(question("rzeller")).option == "Keep this mailbox on the old server"
    assert first(question("mlacour", "mailbox.review", "problems")).option == "Leave these out"
    assert first(question("egarcon")).option == "I repaired it by hand, look again"
    assert first(question("cdaubigne")).option == "Apply the proposals"
    assert first(question("")).option == "Apply the proposals"


def test_where_no_day_follows_what_the_day_says_of_one_account_is_said_before() -> None:
    rules = days_before(read_rules(ANSWERS))
    asked = {account: question(account, "mailbox.review", "problems") for account in ("rzeller", "mlacour", "fstjean")}
    found = {account: next(rule.option for rule in rules if rule.fits(each)) for account, each in asked.items()}
    assert found == {
        "rzeller": "Keep this mailbox on the old server",
        "mlacour": "Leave these out",
        "fstjean": "Apply the proposals",
    }


def test_a_second_round_is_answered_as_the_task_that_asks_it() -> None:
    asked = question("rzeller", "review", "ask_again")
    asked["task_instance"]["dag_run_id"] = "transfer.mailbox.sync~rzeller~manual__1~d59aa74b4e15~1"
    assert first(asked).option == "Keep this mailbox on the old server"


def test_a_person_thinks_longer_than_airflow_may_miss_that_the_asking_process_has_ended(tmp_path: Path) -> None:
    set_to = environment(Home(Instance("test", tmp_path)), port=0, site_file=tmp_path)
    assert int(set_to["AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL"]) + 2 <= answering.THINKING_SECONDS


def test_a_value_is_written_into_the_field_whose_title_ends_so() -> None:
    titles = {"7.name": "Name: name for INBOX.~archives", "8.name": "Name: name for INBOX.Budget 2019/2020"}
    asked = question("jmunoz", **titles, **{"9.name": "Name: name for INBOX.x"})
    expected = {"7.name": "Archives personnelles", "8.name": "Budget 2019 et 2020"}
    assert first(asked).written(asked["params"]) == expected
    with pytest.raises(LabError, match=r"no field of the form ends with INBOX\.Budget 2019/2020"):
        first(asked).written({"7.name": asked["params"]["7.name"]})


def test_what_an_accounts_own_answer_does_not_settle_is_answered_by_the_next_rule(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[str] = []
    asked = question("egarcon")
    rest: Any = SimpleNamespace(questions=lambda: [asked], answer=lambda _, option, values: given.append(option))
    monkeypatch.setattr(answering, "THINKING_SECONDS", 0)
    own, others = Rule("transfer", "mailbox.sync", "own", account="egarcon"), Rule("transfer", "mailbox.sync", "others")
    answerer = Answerer(rest, [own, others], Instance("test", tmp_path))
    for number in range(TIMES + 1):
        asked["task_instance"]["id"], asked["subject"] = f"try {number}", "2 problem(s)"
        answerer.look()
    assert given == ["own"] * TIMES + ["others"]


def test_a_mailboxs_question_waits_while_its_picture_is_taken_and_a_gates_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[str] = []
    mailbox, gate = question("egarcon"), question("", "go_no_go", "cutover")
    for number, asked in enumerate((mailbox, gate)):
        asked["task_instance"]["id"], asked["subject"] = str(number), "a question"
    open_ones = [mailbox, gate]
    rest: Any = SimpleNamespace(
        questions=lambda: list(open_ones),
        answer=lambda asked, option, _: (given.append(option), open_ones.remove(asked)),
    )
    monkeypatch.setattr(answering, "THINKING_SECONDS", 0)
    instance = Instance("test", tmp_path)
    answerer = Answerer(rest, [Rule("transfer", "mailbox.sync", "leave"), Rule("cutover", "go_no_go", "go")], instance)
    wanted = Home(instance).pictures_wanted
    wanted.parent.mkdir(parents=True)
    wanted.touch()
    answerer.look()
    assert given == ["go"]
    wanted.unlink()
    answerer.look()
    assert given == ["go", "leave"]

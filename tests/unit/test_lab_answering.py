"""The prepared answers of the demo: which question they fit, and what they write into its form."""

from typing import Any

from lab.answering import Rule, read_rules
from lab.demo import ANSWERS


def question(account: str, task: str = "mailbox.review", dag: str = "transfer", **fields: str) -> dict[str, Any]:
    return {
        "task_instance": {"dag_id": dag, "task_id": task, "rendered_map_index": account},
        "params": {key: {"value": "x", "schema": {"title": title}} for key, title in fields.items()},
    }


def first(asked: dict[str, Any]) -> Rule:
    return next(rule for rule in read_rules(ANSWERS) if rule.fits(asked))


def test_an_answer_for_one_account_fits_no_other() -> None:
    assert first(question("rzeller")).option == "Keep this mailbox on the old server"
    assert first(question("mlacour", dag="problems")).option == "Leave these out"
    assert first(question("egarcon")).option == "I repaired it by hand, look again"
    assert first(question("cdaubigne")).option == "Apply the proposals"
    assert first(question("")).option == "Apply the proposals"


def test_a_value_is_written_into_the_field_whose_title_ends_so() -> None:
    asked = question("jmunoz", **{"7.name": "Name: name for INBOX.~archives", "8.name": "Name: name for INBOX.x"})
    assert first(asked).written(asked["params"]) == {"7.name": "Archives personnelles"}

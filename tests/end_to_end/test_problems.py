"""Fifty problem mailboxes that wait at the same time, answered in every way, while a task and an Airflow are lost."""

import pytest
from bascule.ledger import journal, mailboxes
from bascule.problems import store

from tests.end_to_end import fifty
from tests.end_to_end.conftest import Day


@pytest.fixture(autouse=True)
def all_was_seen(day: Day) -> None:
    if error := day.notes.get("fifty failed"):
        raise error


def test_all_wait_at_the_same_time_and_all_are_settled(day: Day) -> None:
    waiting = day.seen["problems while all wait"]
    assert [task["state"] for task in waiting.named("mailbox.review")] == ["awaiting_input"] * fifty.COUNT
    assert day.seen["problems"].state == "success"
    states = {name: state.state for name, state in mailboxes.mailbox_states(day.ledger).items()}
    assert {states[account] for account in fifty.ACCOUNTS} == {"verified"}
    assert fifty.in_state(day, "settled") == {*fifty.ACCOUNTS}


def test_each_decision_stands_once_with_its_way(day: Day) -> None:
    given = [each for each in journal.entries(day.ledger, event="decision") if each.subject in fifty.ACCOUNTS]
    ways = {each.subject: (each.after or {})["source"] for each in given}
    assert ways.keys() == {*fifty.ACCOUNTS}
    assert ways[fifty.BY_CSV] == "csv"
    assert {way for account, way in ways.items() if account != fifty.BY_CSV} == {"page"}
    assert {(each.after or {})["decided_by"] for each in given} == {"postmaster"}
    more_than_once = {account: count for account, count in fifty.decided(day).items() if count > 1}
    assert more_than_once == {fifty.REFUSED_BY_NEW: 2}, "a second name was decided about that one alone"


def test_nothing_that_was_decided_is_applied_twice(day: Day) -> None:
    wanted = {account: 0 if account == fifty.LEFT_OUT else 1 for account in fifty.ACCOUNTS}
    assert day.notes["copies on new"] == wanted


def test_the_name_that_was_edited_in_the_browser_is_the_folders_name(day: Day) -> None:
    assert fifty.TYPED[fifty.BY_BROWSER] in {*mailboxes.folder_map(day.ledger, fifty.BY_BROWSER).values()}
    assert len(day.notes["folders on new"][fifty.BY_BROWSER] - {"INBOX"}) == 1


def test_a_wrong_file_is_refused_whole_and_the_mended_one_is_taken_once(day: Day) -> None:
    seen = day.notes["csv"]
    assert seen["listed"].returncode == 0, seen["listed"].stderr
    assert seen["wrong"].returncode == 1 and "line 2:" in seen["wrong"].stderr
    assert seen["open after wrong"] == 1
    assert seen["right"].returncode == 0, seen["right"].stderr
    assert "1 waiting question(s) answered" in seen["right"].stdout
    assert "=Notes" in day.notes["folders on new"][fifty.BY_CSV]
    assert fifty.decided(day)[fifty.BY_CSV] == 1, seen["twice"].stderr


def test_what_was_left_out_is_not_there_and_stands_by_name(day: Day) -> None:
    assert day.notes["folders on new"][fifty.LEFT_OUT] <= {"INBOX"}
    (settled,) = [each for each, _ in store.all_decisions(day.ledger) if each.account == fifty.LEFT_OUT]
    assert (settled.state, settled.subject) == ("settled", f"INBOX.{fifty.FOLDER}")


def test_a_second_answer_and_an_answer_that_fits_no_option_are_refused(day: Day) -> None:
    assert (day.notes["answered twice"], day.notes["no option"]) == (409, 400)
    assert {fifty.decided(day)[account] for account in (fifty.TWICE, fifty.NO_OPTION)} == {1}


def test_a_wrong_name_is_asked_again_with_the_reason_and_what_was_typed(day: Day) -> None:
    body, values = day.notes["asked again"][fifty.WRONG_FIRST]
    assert "could not be taken" in body and "separates the levels" in body
    assert fifty.TYPED[fifty.WRONG_FIRST] in values.values()
    assert fifty.TYPED_AGAIN[fifty.WRONG_FIRST] in day.notes["folders on new"][fifty.WRONG_FIRST]


def test_a_name_that_the_new_server_refuses_is_asked_again_with_its_words(day: Day) -> None:
    body, _ = day.notes["asked again"][fifty.REFUSED_BY_NEW]
    assert "reserved name" in body and "Decided before" in body
    assert day.notes["folders on new"][fifty.REFUSED_BY_NEW] == {"INBOX", fifty.TYPED_AGAIN[fifty.REFUSED_BY_NEW]}


def test_who_waits_goes_on_waiting_when_airflow_is_killed(day: Day) -> None:
    before, after = (
        {task["id"]: (task["state"], task["try_number"]) for task in day.seen[name].named("mailbox.review")}
        for name in ("problems while all wait", "problems after Airflow was killed")
    )
    assert before == after


def test_a_task_killed_between_decision_and_settling_is_tried_again_and_settles(day: Day) -> None:
    run = day.seen["problems before the loss"]
    assert day.notes["decided and not settled when killed"]
    # Airflow may lose a further try on a busy machine: how many there were is not Bascule's.
    task = run.task("mailbox.review", fifty.KILLED)
    assert task["try_number"] > 1 and task["state"] == "success"
    assert fifty.decided(day)[fifty.KILLED] == 1, "nobody was asked again"
    assert day.notes["copies on new"][fifty.KILLED] == 1


def test_with_airflows_database_thrown_away_what_is_open_is_asked_and_nothing_else(day: Day) -> None:
    opened, asked = day.notes["left open by the loss"]
    assert asked == opened
    assert fifty.COUNT // 4 < len(asked) < fifty.COUNT - len(fifty.SPECIAL) // 2
    before = day.notes["decided at the loss"]
    assert before.keys() == {*fifty.ACCOUNTS} - opened
    assert before.items() <= fifty.decided(day).items(), "nobody decided again about what had been decided"

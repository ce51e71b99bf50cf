"""Fifty problem mailboxes that wait at the same time, answered in every way, days before the day."""

import pytest
from bascule.ledger import journal, mailboxes, problems

from tests.end_to_end import fifty
from tests.end_to_end.conftest import Day


@pytest.fixture(autouse=True)
def all_was_seen(day: Day) -> None:
    if error := day.notes.get("fifty failed"):
        raise error


def test_all_wait_at_the_same_time_and_all_are_settled(day: Day) -> None:
    run = day.seen["problems"]
    assert day.notes["asked at once"] == fifty.COUNT
    assert run.state == "success"
    states = {name: state.state for name, state in mailboxes.mailbox_states(day.ledger).items()}
    assert {states[account] for account in fifty.ACCOUNTS} == {"verified"}


def test_each_decision_stands_once_with_its_way(day: Day) -> None:
    decided = [each for each in journal.entries(day.ledger, event="decision") if each.subject in fifty.ACCOUNTS]
    ways = {each.subject: (each.after or {})["source"] for each in decided}
    assert len(decided) == len(ways) == fifty.COUNT
    assert ways[fifty.BY_CSV] == "csv"
    assert {way for account, way in ways.items() if account != fifty.BY_CSV} == {"page"}
    assert {(each.after or {})["decided_by"] for each in decided} == {"postmaster"}


def test_the_name_that_was_edited_in_the_browser_is_the_folders_name(day: Day) -> None:
    assert "Notes de l'été" in {*mailboxes.folder_map(day.ledger, fifty.BY_BROWSER).values()}
    assert len(day.notes["folders on new"][fifty.BY_BROWSER] - {"INBOX"}) == 1


def test_a_wrong_file_is_refused_whole_and_the_mended_one_is_taken(day: Day) -> None:
    seen = day.notes["csv"]
    assert seen["listed"].returncode == 0, seen["listed"].stderr
    assert seen["wrong"].returncode == 1 and "line 2:" in seen["wrong"].stderr
    assert seen["open after wrong"] == 1
    assert seen["right"].returncode == 0, seen["right"].stderr
    assert "1 waiting question(s) answered" in seen["right"].stdout
    assert "=Notes" in day.notes["folders on new"][fifty.BY_CSV]


def test_what_was_left_out_is_not_there_and_stands_by_name(day: Day) -> None:
    assert day.notes["folders on new"][fifty.LEFT_OUT] <= {"INBOX"}
    (settled,) = [each for each, _ in problems.all_decisions(day.ledger) if each.account == fifty.LEFT_OUT]
    assert (settled.state, settled.subject) == ("settled", f"INBOX.{fifty.FOLDER}")


def test_a_wrong_name_is_asked_again_with_the_reason_and_what_was_typed(day: Day) -> None:
    body, values = day.notes["asked again"]
    assert "could not be taken" in body and "separates the levels" in body
    assert "Notes/../etc" in values.values()
    assert "Notes" in day.notes["folders on new"][fifty.WRONG_FIRST]

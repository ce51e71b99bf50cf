"""What is proposed for a refused item, and what the repairs do."""

from typing import Any

import pytest
from bascule.calendars import meaning, repairs
from calendar_items import card, event


@pytest.mark.parametrize(
    ("text", "status", "kind", "action"),
    [
        ("no calendar", 400, "unreadable", "leave_out"),
        ("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n", 400, "empty", "leave_out"),
        (event("e").replace("VEVENT", "VJOURNAL"), 404, "journal", "journal_to_task"),
        (event("e", extra="ATTACH:https://x"), 413, "too-large", "drop"),
        (event("e"), 413, "too-large", "leave_out"),
        (event("a/b c"), 400, "uid", "new_uid"),
        (event("e", extra="RRULE:FREQ=SOMETIMES"), 400, "rrule", "drop"),
        (event("e"), 500, "refused", "leave_out"),
    ],
)
def test_the_cause_is_guessed_and_something_is_proposed(text: str, status: int, kind: str, action: str) -> None:
    found, explanation, proposal = repairs.propose(text, status, "no")
    assert (found, proposal["action"]) == (kind, action)
    assert explanation.endswith(".")


@pytest.mark.parametrize("text", [event("a/b"), card("a/b"), event("a/b").replace("UID:a/b\r\n", "")])
def test_a_new_uid_is_the_only_change_and_always_the_same(text: str) -> None:
    repaired = repairs.repair(text, {"action": "new_uid"})
    assert repaired is not None
    assert repaired == repairs.repair(text, {"action": "new_uid"})
    assert meaning.uid(repaired).startswith("bascule-")
    others = [words for words in meaning.differences(text, repaired) if " UID:" not in words]
    assert others == []


def test_an_exception_of_a_series_gets_the_same_new_uid() -> None:
    series = event("a/b", extra="END:VEVENT BEGIN:VEVENT UID:a/b RECURRENCE-ID:20260704T060000Z")
    repaired = repairs.repair(series, {"action": "new_uid"})
    assert repaired is not None
    assert len({line for line in repaired.splitlines() if line.startswith("UID:")}) == 1
    assert repaired.count("UID:") == 2


def test_a_property_is_dropped_with_all_its_lines() -> None:
    text = event("e", extra="ATTACH;ENCODING=BASE64:" + "A" * 50).replace("A" * 50, "A" * 50 + "\r\n " + "B" * 50)
    repaired = repairs.repair(text, {"action": "drop", "properties": ["attach"]})
    assert repaired is not None
    assert "BBB" not in repaired
    assert meaning.same(repaired, event("e"))


def test_left_out_means_nothing_is_written() -> None:
    assert repairs.repair(event("e"), {"action": "leave_out"}) is None


@pytest.mark.parametrize("values", [{}, {"action": "eval"}, {"action": None}])
def test_an_action_that_nobody_knows_is_an_error(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no repair"):
        repairs.repair(event("e"), values)


def test_lines_are_folded_by_bytes() -> None:
    text = repairs.folded([f"SUMMARY:{'é' * 200}"])
    assert max(len(line.encode()) for line in text.split("\r\n")) <= 75
    assert "".join(meaning.unfolded(text)) == f"SUMMARY:{'é' * 200}"

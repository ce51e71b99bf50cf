"""What is proposed for a refused item, and what the repairs do."""

import pytest
from bascule.calendars import ical_compare, repairs
from bascule.calendars.ical.syntax import folded, parse, read, written
from bascule.problems.model import Action, Proposal
from calendar_items import card, event


def repaired(text: str, action: Action, *properties: str) -> str:
    return folded(written(repairs.repaired(parse(text), Proposal(action, properties=properties))))


@pytest.mark.parametrize(
    ("text", "status", "kind", "action"),
    [
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
    found = repairs.propose(parse(text), status)
    assert (found.kind, found.proposal.action) == (kind, action)
    assert found.cause


@pytest.mark.parametrize("text", [event("a/b"), card("a/b"), event("a/b").replace("UID:a/b\r\n", "")])
def test_a_new_uid_is_the_only_change_and_always_the_same(text: str) -> None:
    found = repaired(text, Action.NEW_UID)
    assert found == repaired(text, Action.NEW_UID)
    assert ical_compare.uid(found).startswith("bascule-")
    assert {difference.name for difference in ical_compare.differences(text, found)} == {"UID"}


def test_an_exception_of_a_series_gets_the_same_new_uid() -> None:
    series = event("a/b", extra="END:VEVENT BEGIN:VEVENT UID:a/b RECURRENCE-ID:20260704T060000Z")
    found = repaired(series, Action.NEW_UID)
    assert len({line for line in found.splitlines() if line.startswith("UID:")}) == 1
    assert found.count("UID:") == 2


def test_a_property_is_dropped_with_all_its_lines() -> None:
    text = event("e", extra="ATTACH;ENCODING=BASE64:" + "A" * 50).replace("A" * 50, "A" * 50 + "\r\n " + "B" * 50)
    found = repaired(text, Action.DROP, "attach")
    assert "BBB" not in found
    assert ical_compare.same(found, event("e"))


@pytest.mark.parametrize("action", [Action.LEAVE_OUT_ITEM, Action.ACCEPT, Action.RAISE_QUOTA])
def test_an_action_that_is_no_repair_is_an_error(action: Action) -> None:
    with pytest.raises(ValueError, match="no repair"):
        repaired(event("e"), action)


@pytest.mark.parametrize("line", [f"SUMMARY:{'é' * 200}", f"SUMMARY:{'x' * 200}", f"SUMMARY:{'🎂x' * 90}", "A:b"])
def test_lines_are_folded_by_octets(line: str) -> None:
    text = folded(["BEGIN:VCARD", line, "END:VCARD"])
    assert max(len(each.encode()) for each in text.split("\r\n")) <= 75
    assert [each.text for each in read(text.encode()).objects[0].lines] == [line]

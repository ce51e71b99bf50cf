"""A site in Asia/Tokyo: series and the dates that they leave out, in other forms than they begin, take place as before.

Both are counted out by a library that is none of Bascule's. Where it is not as before, it is named.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from bascule.calendars import sync_account
from bascule.calendars.verify import Verification, verify_account
from bascule.ledger import Ledger
from bascule.problems import store
from deciding import open_problems
from test_folder import exported_to

from tests import calendar_oracle as oracle
from tests.calendar_shapes import calendar, event

TOKYO = "Asia/Tokyo"
UNTIL = datetime(2028, 1, 1)
WEEKS = 6
SERIES = f"RRULE:FREQ=WEEKLY;COUNT={WEEKS}"
ZONE = (
    "BEGIN:VTIMEZONE\r\nTZID:Asia/Tokyo\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n"
    "TZOFFSETFROM:+0900\r\nTZOFFSETTO:+0900\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
)
ZONED = (f"DTSTART;TZID={TOKYO}:20270627T090000", f"DTEND;TZID={TOKYO}:20270627T100000")
LOCAL = ("DTSTART:20270627T090000", "DTEND:20270627T100000")
WORLD = ("DTSTART:20270627T000000Z", "DTEND:20270627T010000Z")
ALL_DAY = ("DTSTART;VALUE=DATE:20270627", "DTEND;VALUE=DATE:20270628")

# What the second (4 July) and the third one (11 July) are left out by.
LEFT_OUT: dict[str, list[str]] = {
    "each in its form": [f"EXDATE;TZID={TOKYO}:20270704T090000", f"EXDATE;TZID={TOKYO}:20270711T090000"],
    "local": ["EXDATE:20270704T090000", "EXDATE:20270711T090000"],
    "several in a line": [f"EXDATE;TZID={TOKYO}:20270704T090000,20270711T090000"],
    "several local ones in a line": ["EXDATE:20270704T090000,20270711T090000"],
    "of the world": ["EXDATE:20270704T000000Z,20270711T000000Z"],
    "days": ["EXDATE;VALUE=DATE:20270704,20270711"],
    "mixed": ["EXDATE:20270704T000000Z", "EXDATE;VALUE=DATE:20270711"],
}
BEGINNINGS = {"zoned": ZONED, "local": LOCAL, "of the world": WORLD}


@pytest.fixture
def tokyo(access: Any, servers: Any, tmp_path: Path) -> Any:
    there = exported_to(access, servers, tmp_path / "export")
    there.site.timezone = TOKYO
    return there


def occurrences(text: str) -> set[tuple[str, str]]:
    return oracle.occurrences(text, UNTIL, TOKYO)  # type: ignore[arg-type]


def carry(there: Any, ledger: Ledger, text: str) -> tuple[set[tuple[str, str]], list[str]]:
    """What takes place on new, and what is told; one more pass has nothing to do."""
    (there.folder / "work.ics").write_text(text, newline="")
    sync_account(there, ledger, "zoe")
    again = sync_account(there, ledger, "zoe")
    assert (again.copied, again.updated, again.deleted) == (0, 0, 0)
    assert {kind for kind, _ in open_problems(ledger)} <= {"altered"}
    texts = [there.new.get(f"/zoe/work/{name}") for name in there.new.names("/zoe/work/")]
    return {each for one in texts for each in occurrences(one)}, [each.explanation for each in store.problems(ledger)]


def check(there: Any, ledger: Ledger, text: str, number: int) -> None:
    """It takes place as often as this, as before, and nobody is asked."""
    before = occurrences(text)
    assert len(before) == number
    assert carry(there, ledger, text) == (before, [])
    assert verify_account(there, ledger, "zoe") == Verification(compared=1, same=1)


@pytest.mark.parametrize("left_out", LEFT_OUT)
@pytest.mark.parametrize("begins", BEGINNINGS)
def test_dates_that_are_left_out_in_whatever_form(tokyo: Any, ledger: Ledger, begins: str, left_out: str) -> None:
    text = calendar(ZONE, event("a", SERIES, *LEFT_OUT[left_out], times=BEGINNINGS[begins]))
    if begins == "local" and left_out in ("of the world", "mixed"):
        found, [told] = carry(
            tokyo, ledger, text
        )  # of a time of the world in a local series nobody knows what is meant
        assert found != occurrences(text)
        assert "takes place on" in told
        return
    # A local time in a series of the world's time is none of its dates.
    check(tokyo, ledger, text, WEEKS if begins == "of the world" and "local" in left_out else WEEKS - 2)


@pytest.mark.parametrize(
    "left_out",
    ["EXDATE;VALUE=DATE:20270704,20270711", "EXDATE:20270704T000000,20270711T000000",
     f"EXDATE;TZID={TOKYO}:20270704T000000,20270711T000000"],
)  # fmt: skip
def test_days_that_are_left_out_of_days(tokyo: Any, ledger: Ledger, left_out: str) -> None:
    check(tokyo, ledger, calendar(ZONE, event("a", SERIES, left_out, times=ALL_DAY)), WEEKS - 2)


MARKS = ["20270704T090000", "20270704T000000Z", f";TZID={TOKYO}:20270704T090000"]


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("begins", BEGINNINGS)
def test_a_date_that_is_moved(tokyo: Any, ledger: Ledger, begins: str, mark: str) -> None:
    marked = f"RECURRENCE-ID{mark if mark.startswith(';') else f':{mark}'}"
    moved = event("a", marked, "SUMMARY:Moved", times=("DTSTART:20270705T030000Z", "DTEND:20270705T040000Z"))
    text = calendar(ZONE, event("a", SERIES, times=BEGINNINGS[begins]), moved)
    found, told = carry(tokyo, ledger, text)
    if begins == "local" and mark.endswith("Z"):
        assert ["it no longer takes place on 2027-07-04 00:00 UTC" in each for each in told] == [True]
    else:
        assert (found, told) == (occurrences(text), [])

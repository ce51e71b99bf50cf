"""When two texts mean the same, and when not."""

import contextlib

import pytest
from bascule.calendars import meaning
from calendar_items import card, event
from hypothesis import given
from hypothesis import strategies as st

PARIS = "Europe/Paris"
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=120)


def folded(text: str, width: int) -> str:
    """Fold every line after `width` characters."""
    out = []
    for line in text.split("\r\n"):
        pieces = [line[place : place + width] for place in range(0, len(line), width)] or [""]
        out.append("\r\n ".join(pieces))
    return "\r\n".join(out)


@given(summary=WORDS, width=st.integers(5, 80))
def test_folding_and_line_ends_mean_nothing(summary: str, width: int) -> None:
    text = event("e", summary)
    assert meaning.differences(text, folded(text, width)) == []
    assert meaning.differences(text, text.replace("\r\n", "\n")) == []


@given(summary=WORDS)
def test_another_summary_means_something_else(summary: str) -> None:
    assert not meaning.same(event("e", summary + "x"), event("e", summary + "y"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=3", "RRULE:COUNT=3;FREQ=WEEKLY;BYDAY=MO"),
        ("ATTENDEE;CN=X;ROLE=CHAIR:mailto:a@b", 'ATTENDEE;ROLE=chair;CN="X":mailto:a@b'),
        ("ATTENDEE;CN=X:mailto:a@b", "ATTENDEE;CN=X;RSVP=TRUE:mailto:a@b"),
        ("LOCATION:a\\,b", "LOCATION:a,b"),
        ("TRANSP:OPAQUE", ""),
        ("", "LAST-MODIFIED:20260101T000000Z"),
        ("X-A;VALUE=TEXT:1", "x-a:1"),
    ],
)
def test_other_words_for_the_same(one: str, other: str) -> None:
    assert meaning.differences(event("e", extra=one), event("e", extra=other)) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("LOCATION:Paris", ""),
        ("", "LOCATION:Paris"),
        ("RRULE:FREQ=WEEKLY;COUNT=3", "RRULE:FREQ=WEEKLY;COUNT=4"),
        ("ATTENDEE;PARTSTAT=ACCEPTED:mailto:a@b", "ATTENDEE;PARTSTAT=DECLINED:mailto:a@b"),
        ("CATEGORIES:a CATEGORIES:a", "CATEGORIES:a"),
        ("BEGIN:VALARM TRIGGER:-PT5M END:VALARM", "BEGIN:VALARM TRIGGER:-PT9M END:VALARM"),
        ("STATUS:CONFIRMED", "STATUS:CANCELLED"),
    ],
)
def test_what_makes_a_difference(one: str, other: str) -> None:
    assert meaning.differences(event("e", extra=one), event("e", extra=other)) != []


def test_a_local_time_is_the_site_s_own() -> None:
    zoned = event("e").replace("DTSTART:20260627T060000Z", "DTSTART;TZID=Europe/Paris:20260627T060000")
    floating = event("e").replace("DTSTART:20260627T060000Z", "DTSTART:20260627T060000")
    assert meaning.same(floating, zoned, PARIS)
    assert not meaning.same(floating, zoned, "Asia/Tokyo")
    assert not meaning.same(floating, event("e"), PARIS)


def test_a_zone_that_is_lost_is_a_difference_and_one_that_is_added_is_none() -> None:
    zone = "BEGIN:VTIMEZONE\r\nTZID:X\r\nEND:VTIMEZONE\r\n"
    with_zone = event("e").replace("BEGIN:VEVENT", f"{zone}BEGIN:VEVENT")
    assert meaning.differences(with_zone, event("e")) != []
    assert meaning.differences(event("e"), with_zone) == []


def test_an_exception_of_a_series_is_not_another() -> None:
    second = "END:VEVENT BEGIN:VEVENT UID:e RECURRENCE-ID:2026070{0}T060000Z LOCATION:x"
    one, other = (event("e", extra=second.format(day)) for day in (4, 5))
    assert meaning.differences(one, other) != []


def test_a_name_with_empty_fields_at_its_end_is_the_same_name() -> None:
    assert meaning.same(card("c"), card("c").replace("Lefèvre;Zoé;;;", "Lefèvre;Zoé"))


@pytest.mark.parametrize("text", ["", "hello", "BEGIN:VCALENDAR\r\nEND:VCARD", "BEGIN:VCALENDAR\r\n", "\0" * 9, "A;B"])
def test_what_is_no_calendar_is_unreadable(text: str) -> None:
    with pytest.raises(meaning.Unreadable):
        meaning.parse(text)
    assert meaning.uid(text) == ""
    assert meaning.differences(text, event("e")) != []


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    with contextlib.suppress(meaning.Unreadable):
        meaning.parse(text)
    assert meaning.same(text, text)


def test_a_group_of_addresses_of_sogo_is_compared_by_its_members() -> None:
    group = "BEGIN:VLIST\r\nVERSION:1.0\r\nUID:l\r\nFN:Liste\r\nCARD;EMAIL=a@b.c;FN=A:c1.vcf\r\nEND:VLIST\r\n"
    assert meaning.uid(group) == "l"
    assert meaning.same(group, group.replace("\r\n", "\n").replace("EMAIL=a@b.c;FN=A", "FN=A;EMAIL=a@b.c"))
    assert meaning.differences(group, group.replace("c1.vcf", "c2.vcf")) != []

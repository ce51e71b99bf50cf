"""When two texts mean the same, and when not."""

import contextlib

import pytest
from bascule.calendars import ical_compare
from bascule.calendars.ical.syntax import Unreadable, parse
from calendar_items import card, event
from hypothesis import given
from hypothesis import strategies as st

PARIS = "Europe/Paris"
ZONE = (
    "BEGIN:VTIMEZONE\r\nTZID:{0}\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:{1}\r\n"
    "TZOFFSETTO:{1}\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
)
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
    assert ical_compare.differences(text, folded(text, width)) == []
    assert ical_compare.differences(text, text.replace("\r\n", "\n")) == []


@given(summary=WORDS)
def test_another_summary_means_something_else(summary: str) -> None:
    assert not ical_compare.same(event("e", summary + "x"), event("e", summary + "y"))


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
        ("RECURRENCE-ID:20270627", "RECURRENCE-ID;VALUE=DATE:20270627"),
    ],
)
def test_other_words_for_the_same(one: str, other: str) -> None:
    assert ical_compare.differences(event("e", extra=one), event("e", extra=other)) == []


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
        ("ATTACH:https://x.test/a;b", r"ATTACH:https://x.test/a\;b"),
    ],
)
def test_what_makes_a_difference(one: str, other: str) -> None:
    assert ical_compare.differences(event("e", extra=one), event("e", extra=other)) != []


def test_a_difference_between_fields_and_text_can_be_seen() -> None:
    ours, theirs = event("e", extra="REQUEST-STATUS:2.0;OK"), event("e", extra=r"REQUEST-STATUS:2.0\;OK")
    assert r"is “2.0\;OK”, and was “2.0;OK”" in ical_compare.differences(ours, theirs)[0].words


def test_a_label_belongs_to_the_line_of_its_group() -> None:
    labelled = card("c").replace("END:VCARD", "item1.TEL:+1\r\nitem1.X-ABLabel:Bateau\r\nEND:VCARD")
    assert ical_compare.same(labelled, labelled.replace("item1.", "ITEM1."))
    assert ical_compare.differences(labelled, labelled.replace("item1.TEL", "TEL")) != []


@pytest.mark.parametrize(
    "line", ["RRULE:W1 SU #3", "AALARM:20270627T080000Z;;;", "CATEGORIES:MEETING;BUSINESS", "EXRULE:D2 #4"]
)
def test_what_only_version_1_can_say_is_lost_when_it_is_called_2(line: str) -> None:
    ours = event("e", extra="X-LINE:1").replace("X-LINE:1", line).replace("VERSION:2.0", "VERSION:1.0")
    [found] = ical_compare.differences(ours, ours.replace("VERSION:1.0", "VERSION:2.0"))
    assert found.name == line.split(":", maxsplit=1)[0]
    assert ical_compare.differences(ours, ours) == []
    assert ical_compare.same(event("e").replace("VERSION:2.0", "VERSION:1.0"), event("e"))


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("N;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:M=FCller;J=F6rg;;;", "Müller Jörg"),
        (r"FN:Dr\, Müller", "Dr, Müller"),
    ],
)
def test_a_card_is_called_as_its_owner_reads_it(line: str, title: str) -> None:
    assert ical_compare.title(f"BEGIN:VCARD\r\nVERSION:2.1\r\n{line}\r\nEND:VCARD\r\n") == title


def test_a_year_has_four_digits() -> None:
    early = event("e").replace("DTSTART:2026", "DTSTART:0126")
    assert ical_compare.title(early) == "Réunion (0126-06-27 06:00 UTC)"
    days = [event("e", extra=f"RRULE:FREQ=DAILY;COUNT={n}").replace(":2026062", ":0126062") for n in (2, 3)]
    assert "0126-06-29 06:00 UTC" in ical_compare.differences(*days)[-1].words


def test_a_local_time_is_the_site_s_own() -> None:
    zoned = event("e").replace("DTSTART:20260627T060000Z", "DTSTART;TZID=Europe/Paris:20260627T060000")
    floating = event("e").replace("DTSTART:20260627T060000Z", "DTSTART:20260627T060000")
    assert ical_compare.same(floating, zoned, PARIS)
    assert not ical_compare.same(floating, zoned, "Asia/Tokyo")
    assert not ical_compare.same(floating, event("e"), PARIS)


def test_a_zone_that_is_lost_is_a_difference_and_one_that_is_added_is_none() -> None:
    zone = ZONE.format("X", "+0100")
    without = event("e").replace("DTSTART:20260627T060000Z", "DTSTART;TZID=X:20260627T060000")
    with_zone = without.replace("BEGIN:VEVENT", f"{zone}BEGIN:VEVENT")
    assert [found.what for found in ical_compare.differences(with_zone, without)] == ["zone"]
    assert ical_compare.differences(without, with_zone) == []


def test_a_name_that_only_outlook_knows_is_no_zone_without_its_description() -> None:
    name = "(UTC-08:00) Pacific Time (US & Canada)"
    without = event("e").replace("DTSTART:20260627T060000Z", f'DTSTART;TZID="{name}":20260627T060000')
    with_zone = without.replace("BEGIN:VEVENT", f"{ZONE.format(name, '-0800')}BEGIN:VEVENT")
    assert [found.what for found in ical_compare.differences(with_zone, without)] == ["zone"]


@pytest.mark.parametrize(("offset", "hour"), [("+0100", "05:00 UTC"), ("+0500", "01:00 UTC"), ("+0100", "05:00 UTC")])
@pytest.mark.parametrize("name", ["Bureau", "Europe/Paris", "(UTC) A, B"])
def test_a_series_is_counted_out_by_the_zone_of_its_own_calendar(name: str, offset: str, hour: str) -> None:
    """The library that does it keeps the first description of a name for as long as the process runs."""
    theirs = event("e", extra="RRULE:FREQ=WEEKLY;COUNT=3").replace(
        "DTSTART:20260627T060000Z", f'DTSTART;TZID="{name}":20260627T060000'
    )
    described = ZONE.format(name.replace(",", "\\,"), offset)
    theirs = theirs.replace("DTEND:20260627T070000Z\r\n", "").replace("BEGIN:VEVENT", f"{described}BEGIN:VEVENT")
    ours = theirs.replace("RRULE", f'EXDATE;TZID="{name}":20260704T060000\r\nRRULE')
    [found] = ical_compare.differences(ours, theirs, PARIS)
    assert found.words == f"it also takes place on 2026-07-04 {hour}"


def test_an_exception_of_a_series_is_not_another() -> None:
    second = "END:VEVENT BEGIN:VEVENT UID:e RECURRENCE-ID:2026070{0}T060000Z LOCATION:x"
    one, other = (event("e", extra=second.format(day)) for day in (4, 5))
    assert ical_compare.differences(one, other) != []


def test_a_name_with_empty_fields_at_its_end_is_the_same_name() -> None:
    assert ical_compare.same(card("c"), card("c").replace("Lefèvre;Zoé;;;", "Lefèvre;Zoé"))


@pytest.mark.parametrize("text", ["", "hello", "BEGIN:VCALENDAR\r\nEND:VCARD", "BEGIN:VCALENDAR\r\n", "\0" * 9, "A;B"])
def test_what_is_no_calendar_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        parse(text)
    assert ical_compare.uid(text) == ""
    assert ical_compare.differences(text, event("e")) != []


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    with contextlib.suppress(Unreadable):
        parse(text)
    assert ical_compare.same(text, text)


def test_a_group_of_addresses_of_sogo_is_compared_by_its_members() -> None:
    group = "BEGIN:VLIST\r\nVERSION:1.0\r\nUID:l\r\nFN:Liste\r\nCARD;EMAIL=a@b.c;FN=A:c1.vcf\r\nEND:VLIST\r\n"
    assert ical_compare.uid(group) == "l"
    assert ical_compare.same(group, group.replace("\r\n", "\n").replace("EMAIL=a@b.c;FN=A", "FN=A;EMAIL=a@b.c"))
    assert ical_compare.differences(group, group.replace("c1.vcf", "c2.vcf")) != []

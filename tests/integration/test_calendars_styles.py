"""Items as other programs write them, and hostile ones: each is carried as it means, or named as a problem."""

from datetime import date, timedelta
from urllib.parse import quote

import pytest
from bascule.calendars import ical_compare, sync_account
from bascule.hosts.access import Access
from bascule.ledger import Ledger
from bascule.ledger.calendars import calendars
from bascule.problems import store

from tests.integration.test_calendars import COLLECTION, Place, calendar, make_place, people, place

__all__ = ["make_place", "people", "place"]


def moved(uid: str, number: int) -> list[str]:
    """The lines of one more event: the occurrence that is moved by an hour."""
    day = date(2027, 6, 27) + timedelta(days=number)
    return [
        *(
            "END:VEVENT",
            "BEGIN:VEVENT",
            f"UID:{uid}",
            f"RECURRENCE-ID:{day:%Y%m%d}T060000Z",
            "DTSTAMP:20260101T000000Z",
        ),
        *(f"DTSTART:{day:%Y%m%d}T070000Z", f"DTEND:{day:%Y%m%d}T080000Z", f"SUMMARY:Nuit {number}"),
    ]


CARRIED = {
    "google": calendar(
        "6j2@google.com",
        "SUMMARY:Google",
        "X-GOOGLE-CONFERENCE:https://meet.example.org/abc",
        "CREATED:20200101T000000Z",
        "SEQUENCE:3",
        "TRANSP:TRANSPARENT",
    ),
    "outlook": calendar(
        "040000008200E00074C5B7101A82E008" + "A" * 80,
        "SUMMARY;LANGUAGE=fr:Outlook",
        "X-MICROSOFT-CDO-BUSYSTATUS:BUSY",
        "X-ALT-DESC;FMTTYPE=text/html:<html><body>é</body></html>",
        "CLASS:PRIVATE",
    ),
    "apple": calendar(
        "F00-BAR",
        "SUMMARY:Apple",
        'X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-TITLE="Rue, x":geo:48.8,2.3',
        "URL;VALUE=URI:https://example.org/?a=b&c=d",
    ),
    "thunderbird": calendar(
        "tb", "SUMMARY:TB", "X-MOZ-GENERATION:4", "X-MOZ-LASTACK:20260101T000000Z", "CATEGORIES:Observation,Maintenance"
    ),
    "alarms": calendar(
        "alarms",
        "SUMMARY:Alarmes",
        *("BEGIN:VALARM", "ACTION:DISPLAY", "TRIGGER:-PT15M", "DESCRIPTION:x", "END:VALARM"),
        *("BEGIN:VALARM", "ACTION:AUDIO", "TRIGGER;RELATED=END:PT5M", "END:VALARM"),
    ),
    "exceptions": calendar(
        "exceptions",
        "SUMMARY:Série",
        "RRULE:FREQ=DAILY;COUNT=2000",
        *(f"EXDATE:2028{month:02}{day:02}T060000Z" for month in range(1, 13) for day in range(1, 29)),
        *("END:VEVENT", "BEGIN:VEVENT", "UID:exceptions", "RECURRENCE-ID:20270629T060000Z"),
        *("DTSTAMP:20260101T000000Z", "DTSTART:20270629T070000Z", "DTEND:20270629T080000Z", "SUMMARY:Plus tard"),
    ),
    "thousands": calendar(
        "thousands",
        "SUMMARY:Mille et une nuits",
        "RRULE:FREQ=DAILY;COUNT=3000",
        *(line for number in range(2000) for line in moved("thousands", number)),
    ),
    "attachment": calendar(
        "attachment", "SUMMARY:Pièce", f"ATTACH;ENCODING=BASE64;VALUE=BINARY;FMTTYPE=text/plain:{'QUJD' * 20_000}"
    ),
    "html": calendar("html", "SUMMARY:<script>alert(1)</script>", "DESCRIPTION:a\\nb\\, c\\; d <img src=x onerror=y>"),
    "unicode": calendar("unicode", "SUMMARY:🎉 e\u0301 \u202e à l'envers"),
    "huge": calendar("huge", "SUMMARY:" + "é" * 500, "DESCRIPTION:" + "x" * 300_000),
    "slashes": calendar("a/b+c@x", "SUMMARY:Barres"),
    "years": calendar("years", "SUMMARY:Siècles").replace("20270627T070000Z", "99991231T000000Z"),
    "task": calendar(
        "task", "SUMMARY:Tâche", "STATUS:IN-PROCESS", "PERCENT-COMPLETE:40", "PRIORITY:5", component="VTODO"
    ),
}
PROBLEMS = {
    "geo": (calendar("geo", "SUMMARY:Lieu", "GEO:48.8;2.3"), "altered"),
    "journal": (calendar("journal", "SUMMARY:Journal", component="VJOURNAL"), "journal"),
    "endless": (calendar("endless", "SUMMARY:Sans fin").replace("DTEND:20270627T070000Z\r\n", ""), "altered"),
}
CARDS = {
    "full": [
        "UID:full",
        "FN:Zoé",
        "N:Lefèvre;Zoé;M;Dr;PhD",
        "TEL;TYPE=WORK,VOICE:+33 1",
        "EMAIL;TYPE=INTERNET:a@example.org",
        "ADR;TYPE=HOME:;;1 rue\\, x;Paris;;75000;France",
        "NOTE:a\\nb",
        "BDAY:1970-01-01",
        "ORG:Observatoire;Équipe",
    ],
    "photo": ["UID:photo", "FN:Photo", "N:Photo;;;;", f"PHOTO;ENCODING=b;TYPE=JPEG:{'/9j/4AAQ' * 5000}"],
    "large": ["UID:large", "FN:Photo de 2 Mo", "N:Photo;;;;", f"PHOTO;ENCODING=b;TYPE=JPEG:{'/9j/4AAQ' * 350_000}"],
    "group": [
        "UID:group",
        "FN:Groupe",
        "N:Groupe;;;;",
        "X-ADDRESSBOOKSERVER-KIND:group",
        "X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:full",
    ],
    "apple": ["UID:apple", "FN:A", "N:A;;;;", "item1.TEL:1", "item1.X-ABLabel:_$!<Mobile>!$_"],
}


def card(lines: list[str]) -> str:
    return "\r\n".join(["BEGIN:VCARD", "VERSION:3.0", *lines, "END:VCARD", ""])


def test_every_style_is_carried_or_named(access: Access, ledger: Ledger, place: Place) -> None:
    for name, text in CARRIED.items() | {(name, text) for name, (text, _) in PROBLEMS.items()}:
        place.put(f"{name}.ics", text)
    for name, lines in CARDS.items():
        place.put(f"{name}.vcf", card(lines))
    sync_account(access, ledger, place.account)
    found = {
        problem.subject.rsplit("/", 1)[1].removesuffix(".ics"): problem.kind
        for problem in store.problems(ledger, room="calendar", account=place.account)
    }
    assert found == {name: kind for name, (_, kind) in PROBLEMS.items()}
    zone = access.site.timezone
    for name in CARRIED:
        # As old serves it: Radicale cuts the value of an unknown property at its first comma.
        text = place.old.get(f"/{place.account}/{place.name}/{name}.ics").text
        assert ical_compare.differences(text, place.text(f"{name}.ics"), zone) == [], name
    for name, lines in CARDS.items():
        there = place.owner.get(f"{place.cards}{name}.vcf")
        assert there is not None
        assert ical_compare.differences(card(lines), there.text) == [], name
    again = sync_account(access, ledger, place.account)
    assert (again.copied, again.updated, again.deleted) == (0, 0, 0)


@pytest.mark.parametrize("name", ["Réunions d'été", "a~b", "100 % à & <b>", "会議", "x" * 120])
def test_a_collection_is_carried_whatever_its_address_is_called(
    access: Access, ledger: Ledger, place: Place, name: str
) -> None:
    """A SOGo 5.8 loses a connection to its database at each request about a collection with `'` in its path."""
    path = f"/{place.account}/{quote(name)}-{place.name}/"
    body = COLLECTION.format(space="caldav", kind="calendar", title="Équipe &amp; amis")
    place.old.request("MKCOL", path, content=body).raise_for_status()
    headers = {"Content-Type": "text/calendar"}
    place.old.put(f"{path}e.ics", content=calendar("e", "SUMMARY:Nom"), headers=headers).raise_for_status()
    assert sync_account(access, ledger, place.account).problems == 0
    row = next(row for row in calendars(ledger, place.account) if row.old_href.endswith(f"-{place.name}/"))
    for _ in range(12):  # more than SOGo has connections
        assert [each.rsplit("/", 1)[1] for each in place.owner.etags(row.new_href)] == ["e.ics"]
    assert sync_account(access, ledger, place.account).copied == 0
    place.old.request("DELETE", path)
    place.owner._client.request("DELETE", row.new_href)


@pytest.mark.parametrize("name", ["é è", "a'b", "100%", "x" * 180])
def test_a_file_name_that_new_might_not_like_is_carried(
    access: Access, ledger: Ledger, place: Place, name: str
) -> None:
    place.put(quote(f"{name}.ics"), calendar("e", "SUMMARY:Nom"))
    assert sync_account(access, ledger, place.account).problems == 0
    assert len(place.names()) == 1
    assert sync_account(access, ledger, place.account).copied == 0

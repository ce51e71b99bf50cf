"""Calendars and address books: one of each per account, a dozen objects in each (RFC 5545, RFC 2426)."""

import base64
import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from lab.corpus.messages import CORRESPONDENTS
from lab.corpus.people import Person, fold
from lab.facts import DOMAIN

ZONES = """\
BEGIN:VTIMEZONE
TZID:Europe/Paris
BEGIN:STANDARD
DTSTART:19961027T030000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
TZNAME:CET
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:19810329T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
TZNAME:CEST
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
END:DAYLIGHT
END:VTIMEZONE
BEGIN:VTIMEZONE
TZID:America/Santiago
BEGIN:STANDARD
DTSTART:20230402T000000
RRULE:FREQ=YEARLY;BYMONTH=4;BYDAY=1SU
TZNAME:-04
TZOFFSETFROM:-0300
TZOFFSETTO:-0400
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:20230903T000000
RRULE:FREQ=YEARLY;BYMONTH=9;BYDAY=1SU
TZNAME:-03
TZOFFSETFROM:-0400
TZOFFSETTO:-0300
END:DAYLIGHT
END:VTIMEZONE"""

# Each is the body of one or two VEVENTs: {uid}, {day}, {later} (dates), {who} (the organiser) are filled in.
EVENTS: tuple[tuple[str, ...], ...] = (
    (
        "SUMMARY:Réunion d'équipe",
        "DTSTART;TZID=Europe/Paris:{day}T140000",
        "DTEND;TZID=Europe/Paris:{day}T153000",
        "RRULE:FREQ=WEEKLY;COUNT=20",
        "EXDATE;TZID=Europe/Paris:{week2}T140000",
        "LOCATION:Salle Méridienne",
        "END:VEVENT",
        "BEGIN:VEVENT",
        "UID:{uid}",
        "DTSTAMP:20260101T080000Z",
        "RECURRENCE-ID;TZID=Europe/Paris:{week3}T140000",
        "SUMMARY:Réunion d'équipe (déplacée)",
        "DTSTART;TZID=Europe/Paris:{week3}T160000",
        "DTEND;TZID=Europe/Paris:{week3}T170000",
    ),
    (
        "SUMMARY:Nuit d'observation à La Silla",
        "DTSTART;TZID=America/Santiago:{day}T203000",
        "DTEND;TZID=America/Santiago:{later}T060000",
        "DESCRIPTION:Coupole n° 2\\, prévoir des vêtements chauds\\;\\nrepas à 19 h.",
        "BEGIN:VALARM",
        "ACTION:DISPLAY",
        "DESCRIPTION:Nuit d'observation",
        "TRIGGER:-PT2H",
        "END:VALARM",
    ),
    (
        "SUMMARY:Congés d'été",
        "DTSTART;VALUE=DATE:{day}",
        "DTEND;VALUE=DATE:{later}",
        "TRANSP:TRANSPARENT",
        "CLASS:PRIVATE",
    ),
    ("SUMMARY:Téléconférence", "DTSTART:{day}T130000Z", "DURATION:PT45M", "URL:https://visio.outside.test/r?a=1&b=2"),
    (
        "SUMMARY:Soutenance de thèse",
        "DTSTART;TZID=Europe/Paris:{day}T100000",
        "DTEND;TZID=Europe/Paris:{day}T123000",
        'ORGANIZER;CN="{name}":mailto:{who}',
        'ATTENDEE;CN="Hélène Brûlé";PARTSTAT=ACCEPTED;ROLE=REQ-PARTICIPANT:mailto:helene.brule@outside.test',
        "ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:sian.oneill@outside.test",
        "STATUS:CONFIRMED",
    ),
    ("SUMMARY:Anniversaire de Zoé 🎂", "DTSTART;VALUE=DATE:{day}", "RRULE:FREQ=YEARLY", "CATEGORIES:Famille,Fêtes"),
    (
        "SUMMARY:Maintenance du serveur",
        "DTSTART;TZID=Europe/Paris:{day}T070000",
        "DTEND;TZID=Europe/Paris:{day}T080000",
        "RRULE:FREQ=MONTHLY;BYDAY=1MO;UNTIL=20271231T060000Z",
    ),
    ("SUMMARY:Conseil scientifique", "DTSTART;TZID=Europe/Paris:{day}T090000", "DURATION:P1DT2H", "PRIORITY:1"),
    ("SUMMARY:" + "Séminaire au titre très long " * 8, "DTSTART:{day}T090000", "DTEND:{day}T110000"),
    (
        "SUMMARY:Visite du planétarium",
        "DTSTART;TZID=Europe/Paris:{day}T143000",
        "DTEND;TZID=Europe/Paris:{day}T160000",
        "STATUS:CANCELLED",
        "SEQUENCE:3",
    ),
    (
        "SUMMARY:Relevé des capteurs",
        "DTSTART;TZID=Europe/Paris:{day}T080000",
        "DTEND;TZID=Europe/Paris:{day}T081500",
        "RRULE:FREQ=DAILY;INTERVAL=2;COUNT=30;WKST=MO",
        "BEGIN:VALARM",
        "ACTION:DISPLAY",
        "DESCRIPTION:Capteurs",
        "TRIGGER;RELATED=START:-PT10M",
        "REPEAT:2",
        "DURATION:PT5M",
        "END:VALARM",
    ),
    ("SUMMARY:Point sur le budget", "DTSTART;TZID=Europe/Paris:{day}T110000", "DTEND;TZID=Europe/Paris:{day}T120000"),
)


@dataclass(frozen=True)
class Item:
    """One event or contact: its UID and its whole text, with CRLF."""

    uid: str
    text: str


def events(person: Person, rng: random.Random) -> list[Item]:
    """The account's calendar; one has a journal entry in it, which SOGo does not know."""
    made = [_event(person, rng, number, lines) for number, lines in enumerate(EVENTS)]
    return [*made, _journal(rng)] if person.trouble == "folders" else made


def contacts(person: Person, rng: random.Random) -> list[Item]:
    """The account's address book: people outside and a few of the house."""
    return [_card(person, rng, number) for number in range(12)]


def _event(person: Person, rng: random.Random, number: int, lines: tuple[str, ...]) -> Item:
    uid = f"{rng.getrandbits(96):024x}-{number}@{DOMAIN}"
    day = date(2026, 1, 5) + timedelta(days=rng.randrange(0, 600))
    values = {
        "uid": uid,
        "day": f"{day:%Y%m%d}",
        "later": f"{day + timedelta(days=1):%Y%m%d}",
        "week2": f"{day + timedelta(days=7):%Y%m%d}",
        "week3": f"{day + timedelta(days=14):%Y%m%d}",
        "who": person.address,
        "name": person.name,
    }
    body = [line.format_map(values) for line in lines]
    head = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//obs.test//Agenda//FR", *ZONES.splitlines()]
    stamp = datetime(2026, 1, 1, 8)
    text = _join(
        [*head, "BEGIN:VEVENT", f"UID:{uid}", f"DTSTAMP:{stamp:%Y%m%dT%H%M%SZ}", *body, "END:VEVENT", "END:VCALENDAR"]
    )
    return Item(uid, text)


def _journal(rng: random.Random) -> Item:
    uid = f"{rng.getrandbits(96):024x}-j@{DOMAIN}"
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//obs.test//Agenda//FR", "BEGIN:VJOURNAL", f"UID:{uid}",
             "DTSTAMP:20260101T080000Z", "DTSTART;VALUE=DATE:20260105", "SUMMARY:Carnet de nuit",
             "DESCRIPTION:Ciel voilé\\, puis dégagé.", "END:VJOURNAL", "END:VCALENDAR"]  # fmt: skip
    return Item(uid, _join(lines))


def _card(person: Person, rng: random.Random, number: int) -> Item:
    uid = f"{rng.getrandbits(96):024x}-c{number}"
    name, address = CORRESPONDENTS[number % len(CORRESPONDENTS)]
    given, _, surname = name.partition(" ")
    lines = [
        "BEGIN:VCARD",
        "VERSION:3.0",
        f"UID:{uid}",
        f"FN:{name}",
        f"N:{surname};{given};;;",
        f"EMAIL;TYPE=INTERNET,WORK:{address}",
        f"TEL;TYPE=WORK,VOICE:+33 1 40 51 {rng.randrange(10, 99)} {rng.randrange(10, 99)}",
        f"ADR;TYPE=WORK:;;{rng.randrange(1, 99)}\\, avenue de l'Observatoire;Paris;;75014;France",
        f"ORG:Observatoire d'Île-de-France;Équipe {rng.randrange(1, 9)}",
        f"NOTE:Connu par {person.name}\\; préfère le téléphone.\\nNe pas appeler le mercredi.",
        "CATEGORIES:Collègues,Astronomie",
    ]
    if number % 5 == 0:
        lines.append(f"PHOTO;ENCODING=b;TYPE=JPEG:{base64.b64encode(_small_picture()).decode()}")
    if number % 4 == 0:
        lines.append(f"NICKNAME:{fold(given)}")
        lines.append("BDAY:1971-03-14")
    return Item(uid, _join([*lines, "END:VCARD"]))


def _small_picture() -> bytes:
    return (
        bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb004300")
        + bytes(range(1, 65))
        + bytes.fromhex("ffd9")
    )


def _join(lines: list[str]) -> str:
    """Lines folded to at most 75 bytes (RFC 5545 section 3.1), never inside a character."""
    return "".join(folded + "\r\n" for line in lines for folded in _fold(line))


def _fold(line: str) -> list[str]:
    pieces, piece = [], ""
    for letter in line:
        if len((piece + letter).encode()) > 75:
            pieces.append(piece)
            piece = " "
        piece += letter
    return [*pieces, piece]

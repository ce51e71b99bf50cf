"""What servers put into values and parameters: backslashes in what is no TEXT, and defaults that say nothing."""

from typing import Any

import pytest
from bascule.calendars import ical_compare, sync_account
from bascule.calendars.dav.client import Session
from bascule.ledger import Ledger
from bascule.problems import store
from calendar_items import card, event
from deciding import open_problems
from test_folder import exported_to

from tests.calendar_shapes import calendar
from tests.calendar_shapes import event as vevent

# -- C7: only TEXT has escapes

NO_TEXT = [
    "GEO:48.8;2.3",
    "URL:https://x.test/a;b=1",
    "URL;VALUE=uri:https://x.test/a;b=1,2",
    "URL;VALUE=URI:https://x.test/a;b=1",
    "ATTACH:https://x.test/a;b.pdf",
    "ATTACH;VALUE=URI:https://x.test/a,b;c.pdf",
    "ATTACH;FMTTYPE=text/html:https://x.test/a;b.html",
    "REQUEST-STATUS:2.0;OK",
    "CONFERENCE;VALUE=URI;FEATURE=AUDIO:tel:+1;ext=5",
    "IMAGE;VALUE=URI;DISPLAY=BADGE:https://x.test/a;b.png",
    "SOURCE;VALUE=URI:https://x.test/a;b.ics",
    "ORGANIZER:mailto:a;b@x.test",
    "ATTENDEE;ROLE=CHAIR:mailto:a;b@x.test",
    "X-APPLE-STRUCTURED-LOCATION;VALUE=URI:geo:48.8,2.3;u=5",
    "STRUCTURED-DATA;VALUE=URI:https://x.test/a;b",
]
NO_TEXT_OF_CARDS = [
    "TEL;VALUE=uri:tel:+1;ext=5",
    'TEL;TYPE="voice,home";VALUE=uri:tel:+1-555;ext=5',
    "URL:https://x.test/a;b=1",
    "URL;VALUE=uri:https://x.test/a;b=1,2",
    "IMPP:xmpp:a@x.test?message;body=b",
    "PHOTO;VALUE=uri:https://x.test/a;b.jpg",
    "PHOTO;VALUE=URI:https://x.test/a,b.jpg",
    "LOGO;VALUE=uri:https://x.test/a;b.png",
    "SOUND;VALUE=uri:https://x.test/a;b.ogg",
    "KEY;VALUE=uri:https://x.test/a;b.asc",
    "GEO:48.8;2.3",
    "SOURCE:https://x.test/a;b.vcf",
    "FBURL:https://x.test/a;b",
    "CALURI:https://x.test/a;b",
    "RELATED;VALUE=uri:urn:x;y",
    "X-SOCIALPROFILE;VALUE=uri:https://x.test/a;b",
]


def escaped(line: str) -> str:
    """The line as SOGo stores it: its value with a backslash before each `;` and `,`."""
    head, value = split(line)
    return head + value.replace(";", "\\;").replace(",", "\\,")


def split(line: str) -> tuple[str, str]:
    quoted = False
    for at, character in enumerate(line):
        quoted ^= character == '"'
        if character == ":" and not quoted:
            return line[: at + 1], line[at + 1 :]
    raise AssertionError(line)


def item(line: str) -> str:
    """An event or a card with this line."""
    if line in NO_TEXT_OF_CARDS or line in TEXTS_OF_CARDS:
        version = "3.0" if line.startswith(("GEO", "SOUND")) else "4.0"
        return card("c").replace("VERSION:3.0", f"VERSION:{version}").replace("END:VCARD", f"{line}\r\nEND:VCARD")
    return calendar(vevent("e", line))


TEXTS = ["SUMMARY:a;b,c", "LOCATION:a;b", "DESCRIPTION:x,y", "X-A:a;b", "X-A;VALUE=TEXT:a,b", "CONTACT:a;b"]
TEXTS_OF_CARDS = ["NOTE:a;b,c", "TEL:+1;ext=5", "TEL;VALUE=text:+1;ext=5", "TITLE:a;b", "X-A:a;b", "EMAIL:a;b@x.test"]


@pytest.mark.parametrize("line", NO_TEXT + NO_TEXT_OF_CARDS)
def test_a_backslash_in_what_is_no_text_is_a_difference(line: str) -> None:
    ours = item(line)
    [found] = ical_compare.differences(ours, ours.replace(line, escaped(line)))
    assert (found.name, found.what) == (line.partition(":")[0].partition(";")[0], "property")
    assert "\\" in found.words
    assert ical_compare.same(ours, ours)


@pytest.mark.parametrize("line", TEXTS + TEXTS_OF_CARDS)
def test_a_backslash_in_a_text_is_none(line: str) -> None:
    ours = item(line)
    assert ical_compare.differences(ours, ours.replace(line, escaped(line))) == []


def test_what_a_server_alters_so_is_named_with_both_values(
    access: Any, servers: Any, ledger: Ledger, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that puts backslashes into telephones and addresses of the web, as SOGo does."""
    there = exported_to(access, servers, tmp_path / "export")
    lines = ("URL;VALUE=uri:https://x.test/a;b=1", "TEL;VALUE=uri:tel:+1;ext=5")
    (there.folder / "work.ics").write_text(calendar(vevent("e", lines[0]), vevent("plain")), newline="")
    cards = card("c").replace("3.0", "4.0").replace("END:VCARD", f"{lines[1]}\r\nEND:VCARD")
    (there.folder / "amis.vcf").write_text(cards, newline="")
    put = Session.put

    def altering(self: Session, href: str, kind: Any, text: str, **more: Any) -> Any:
        for line in lines:
            text = text.replace(line, escaped(line))
        return put(self, href, kind, text, **more)

    monkeypatch.setattr(Session, "put", altering)
    assert sync_account(there, ledger, "zoe").copied == 3
    assert sorted(kind for kind, _ in open_problems(ledger)) == ["altered", "altered"]
    told = " ".join(problem.explanation for problem in store.problems(ledger))
    assert r"URL is “https://x.test/a\;b=1”, and was “https://x.test/a;b=1”" in told
    assert r"TEL is “tel:+1\;ext=5”" in told and "was “tel:+1;ext=5”" in told


# -- C9: what would hold without a word

DEFAULTS = [
    ("ATTENDEE:mailto:a@b.test", "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:a@b.test"),
    ("ATTENDEE;CN=A:mailto:a@b.test", "ATTENDEE;CN=A;PARTSTAT=needs-action;ROLE=REQ-PARTICIPANT:mailto:a@b.test"),
    ("ATTENDEE:mailto:a@b.test", "ATTENDEE;CUTYPE=INDIVIDUAL;RSVP=FALSE:mailto:a@b.test"),
    ("ATTENDEE:mailto:a@b.test", "ATTENDEE;PARTSTAT=NEEDS-ACTION;CN=:mailto:a@b.test"),
    ("ATTENDEE:mailto:a@b.test", "ATTENDEE;CN=a@b.test:mailto:a@b.test"),
    ("ORGANIZER:mailto:a@b.test", "ORGANIZER;CN=:mailto:a@b.test"),
    ("ORGANIZER:mailto:a@b.test", 'ORGANIZER;CN="":mailto:a@b.test'),
    ("ORGANIZER:mailto:a@b.test", "ORGANIZER;CN=a@b.test:mailto:a@b.test"),
    ("ORGANIZER:MAILTO:A@b.test", 'ORGANIZER;CN="a@B.test":MAILTO:A@b.test'),
    ("ORGANIZER;CN=:mailto:a@b.test", "ORGANIZER:mailto:a@b.test"),
]
SAID = [
    ("ATTENDEE:mailto:a@b.test", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:a@b.test"),
    ("ATTENDEE;PARTSTAT=ACCEPTED:mailto:a@b.test", "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:a@b.test"),
    ("ATTENDEE;PARTSTAT=DECLINED:mailto:a@b.test", "ATTENDEE:mailto:a@b.test"),
    ("ATTENDEE:mailto:a@b.test", "ATTENDEE;ROLE=CHAIR:mailto:a@b.test"),
    ("ATTENDEE:mailto:a@b.test", "ATTENDEE;CUTYPE=ROOM:mailto:a@b.test"),
    ("ORGANIZER:mailto:a@b.test", "ORGANIZER;CN=Somebody:mailto:a@b.test"),
    ("ORGANIZER;CN=Somebody:mailto:a@b.test", "ORGANIZER:mailto:a@b.test"),
    ("ORGANIZER;CN=Somebody:mailto:a@b.test", "ORGANIZER;CN=a@b.test:mailto:a@b.test"),
    ("ORGANIZER:mailto:a@b.test", "ORGANIZER;CN=c@d.test:mailto:a@b.test"),
    ("ORGANIZER:mailto:a@b.test", "ORGANIZER:mailto:c@d.test"),
]


@pytest.mark.parametrize(("ours", "theirs"), DEFAULTS)
def test_defaults_that_a_server_writes_down_are_no_question(ours: str, theirs: str) -> None:
    assert ical_compare.differences(event("e", extra=ours), event("e", extra=theirs)) == []


@pytest.mark.parametrize(("ours", "theirs"), SAID)
def test_what_somebody_has_said_is_a_difference(ours: str, theirs: str) -> None:
    assert ical_compare.differences(event("e", extra=ours), event("e", extra=theirs)) != []


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_pass_to_a_server_that_writes_defaults_down_asks_nothing(
    access: Any, servers: Any, ledger: Ledger, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """138 items of which a server makes what SOGo makes; a second pass has nothing to do."""
    there = exported_to(access, servers, tmp_path / "export")
    parts = [vevent(f"e{n}", "ORGANIZER:mailto:o@b.test", f"ATTENDEE:mailto:a{n}@b.test") for n in range(138)]
    text = calendar(*parts).replace("VERSION:2.0", f"VERSION:{version}")
    (there.folder / "work.ics").write_text(text, newline="")
    put = Session.put

    def writing_defaults(self: Session, href: str, kind: Any, text: str, **more: Any) -> Any:
        text = text.replace("ATTENDEE:", "ATTENDEE;PARTSTAT=NEEDS-ACTION:").replace("VERSION:1.0", "VERSION:2.0")
        return put(self, href, kind, text.replace("ORGANIZER:", "ORGANIZER;CN=o@b.test:"), **more)

    monkeypatch.setattr(Session, "put", writing_defaults)
    assert sync_account(there, ledger, "zoe").copied == 138
    assert open_problems(ledger) == []
    again = sync_account(there, ledger, "zoe")
    assert (again.copied, again.updated, again.problems) == (0, 0, 0)

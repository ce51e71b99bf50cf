"""Calendars and address books from the lab's Radicale to its SOGo."""

import json
import secrets
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from bascule.calendars import ical_compare, servers, sync_account
from bascule.calendars.dav.client import Session
from bascule.calendars.dav.model import Content
from bascule.calendars.sogo.preferences import set_preferences
from bascule.hosts.access import Access
from bascule.hosts.directory import accounts
from bascule.ledger import Ledger
from bascule.problems import store
from bascule.site import CalendarServerPart, Site

from lab.hosts.secrets import CALENDAR_FILLER
from tests.deciding import decide

COLLECTION = (
    '<mkcol xmlns="DAV:" xmlns:c="urn:ietf:params:xml:ns:{space}" xmlns:a="http://apple.com/ns/ical/"><set><prop>'
    "<resourcetype><collection/><c:{kind}/></resourcetype><displayname>{title}</displayname>"
    "<a:calendar-color>#FF8800FF</a:calendar-color></prop></set></mkcol>"
)


def calendar(uid: str, *lines: str, component: str = "VEVENT") -> str:
    times = ["DTSTAMP:20260101T000000Z", "DTSTART:20270627T060000Z"]
    end = ["DTEND:20270627T070000Z"] if component == "VEVENT" else []
    inside = [f"BEGIN:{component}", f"UID:{uid}", *times, *end, *lines, f"END:{component}"]
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//", *inside, "END:VCALENDAR", ""])


@dataclass
class Place:
    """A calendar and an address book of one account, made for one test on old, and where they go on new."""

    account: str
    name: str
    old: httpx.Client
    owner: Session

    def put(self, name: str, text: str) -> None:
        kind = "text/vcard" if "VCARD" in text else "text/calendar"
        where = f"/{self.account}/{self.name}{'-cards' if 'VCARD' in text else ''}/{name}"
        self.old.put(where, content=text.encode(), headers={"Content-Type": kind}).raise_for_status()

    @property
    def calendar(self) -> str:
        return f"/SOGo/dav/{self.account}/Calendar/{self.name}/"

    @property
    def cards(self) -> str:
        return f"/SOGo/dav/{self.account}/Contacts/{self.name}-cards/"

    def names(self) -> set[str]:
        return {href.rsplit("/", 1)[1] for href in self.owner.etags(self.calendar)}

    def text(self, name: str) -> str:
        found = self.owner.get(self.calendar + name)
        assert found is not None
        return found.text


def _client(lab: Any, base: str, user: str, password: str) -> httpx.Client:
    trust = ssl.create_default_context(cafile=str(lab.instance.ca_certificate))
    return httpx.Client(base_url=base, verify=trust, auth=(user, password), timeout=60.0)


@pytest.fixture
def make_place(lab: Any, access: Access) -> Iterator[Callable[..., Place]]:
    made: list[Place] = []

    def make(account: str, title: str = "Équipe &amp; amis") -> Place:
        old = _client(lab, "https://web.obs.test:5232", CALENDAR_FILLER, lab.secrets.calendars_filler)
        owner = _client(lab, "https://sogo.obs.test", account, lab.secrets.password_of(account))
        place = Place(account, f"test-{secrets.token_hex(4)}", old, Session(owner))
        for ending, space, kind in (("", "caldav", "calendar"), ("-cards", "carddav", "addressbook")):
            body = COLLECTION.format(space=space, kind=kind, title=title).encode()
            old.request("MKCOL", f"/{account}/{place.name}{ending}/", content=body).raise_for_status()
        made.append(place)
        return place

    yield make
    for place in made:
        for ending, href in (("", place.calendar), ("-cards", place.cards)):
            place.old.request("DELETE", f"/{place.account}/{place.name}{ending}/")
            place.owner._client.request("DELETE", href)


@pytest.fixture
def people(access: Access) -> list[Any]:
    return [account for account in accounts(access) if account.entry.get("mail")]


@pytest.fixture
def place(make_place: Callable[..., Place], people: list[Any]) -> Place:
    return make_place(people[-1].name)


def test_events_tasks_and_cards_are_carried_with_name_and_colour(
    lab: Any, access: Access, ledger: Ledger, place: Place
) -> None:
    texts = {
        "series.ics": calendar("series", "SUMMARY:Série", "RRULE:FREQ=WEEKLY;COUNT=9", "EXDATE:20270704T060000Z"),
        "alarm.ics": calendar(
            "alarm", "SUMMARY:Alarme", "BEGIN:VALARM", "ACTION:DISPLAY", "TRIGGER:-PT15M", "DESCRIPTION:x", "END:VALARM"
        ),
        "hostile.ics": calendar("hostile", "SUMMARY:<script>alert(1)</script>", "DESCRIPTION:a\\nb\\, c"),
        "task.ics": calendar("task", "SUMMARY:Tâche", "PERCENT-COMPLETE:40", component="VTODO"),
    }
    for name, text in texts.items():
        place.put(name, text)
    card = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c1\r\nFN:Zoé Lefèvre\r\nN:Lefèvre;Zoé;;;\r\nEND:VCARD\r\n"
    place.put("c1.vcf", card)
    assert sync_account(access, ledger, place.account).problems == 0
    assert place.names() == set(texts)
    assert [name for name, text in texts.items() if not ical_compare.same(place.text(name), text)] == []
    assert set(place.owner.etags(place.cards)) == {f"{place.cards}c1.vcf"}
    lab.ssh(
        "sogo", "systemctl", "restart", "memcached"
    )  # where the ordinary SOGo keeps people's settings for 5 minutes
    seen = place.owner.collection(place.calendar)
    assert seen is not None
    assert set(seen.properties.values()) >= {"Équipe & amis", "#FF8800FF"}
    again = sync_account(access, ledger, place.account)
    assert (again.copied, again.updated, again.deleted, again.unchanged) == (0, 0, 0, again.items)


def test_an_emoji_in_a_name_holds_back_nothing_of_the_account_in_later_passes(
    access: Access, ledger: Ledger, make_place: Callable[..., Place], people: list[Any]
) -> None:
    place = make_place(people[-1].name, "Fête 🎉 au labo")
    card = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{0}\r\nFN:{0}\r\nN:{0};;;;\r\nEND:VCARD\r\n"
    for number in (1, 2):  # in the second pass SOGo has the name already, and tells it
        place.put(f"e{number}.ics", calendar(f"e{number}", f"SUMMARY:Numéro {number}"))
        place.put(f"c{number}.vcf", card.format(f"{place.name}-{number}"))
        counts = sync_account(access, ledger, place.account)
        assert (counts.copied >= 2, counts.problems) == (True, 0)
    assert place.names() == {"e1.ics", "e2.ics"}
    assert set(place.owner.etags(place.cards)) == {f"{place.cards}c{number}.vcf" for number in (1, 2)}
    seen = place.owner.collection(place.calendar)
    assert seen is not None and "Fête au labo" in seen.properties.values()
    again = sync_account(access, ledger, place.account)
    assert (again.copied, again.updated, again.deleted, again.problems) == (0, 0, 0, 0)


def test_a_meeting_is_carried_and_nobody_is_invited(
    lab: Any, access: Access, ledger: Ledger, make_place: Callable[..., Place], people: list[Any]
) -> None:
    organiser, guest = make_place(people[-1].name), people[-2]
    guests = make_place(guest.name)
    before = set(guests.owner.etags(f"/SOGo/dav/{guest.name}/Calendar/personal/"))
    uid = f"meeting-{secrets.token_hex(8)}"
    lines = [
        f"SUMMARY:{uid}",
        f"ORGANIZER;CN=Moi:mailto:{people[-1].entry['mail'][0]}",
        f"ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:{guest.entry['mail'][0]}",
        "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:invitee@outside.test",
    ]
    organiser.put("m.ics", calendar(uid, *lines))
    guests.put("mine.ics", calendar(uid, *lines, "LOCATION:Salle"))  # the guest has an own copy, and it comes first
    assert sync_account(access, ledger, guest.name).problems == 0
    assert sync_account(access, ledger, organiser.account).problems == 0
    assert "LOCATION:Salle" in guests.text("mine.ics")
    assert "LOCATION" not in organiser.text("m.ics")
    added = set(guests.owner.etags(f"/SOGo/dav/{guest.name}/Calendar/personal/")) - before
    assert [href for href in added if uid in (guests.owner.get(href) or Content("", "", "")).text] == []
    for host in ("sogo", "new", "mx"):
        queue = lab.ssh(host, "command -v postqueue >/dev/null && postqueue -j || true")
        assert uid not in queue
        assert uid not in lab.ssh(
            host, f"journalctl --no-pager --since -5min | grep -F {uid} | grep -i subject || true"
        )
    assert lab.ssh("client", f"grep -rlF {uid} /var/mail/outside || true") == ""


def test_a_journal_becomes_a_task_by_decision(access: Access, ledger: Ledger, place: Place) -> None:
    place.put("note.ics", calendar("note", "SUMMARY:Journal de bord", component="VJOURNAL"))
    sync_account(access, ledger, place.account)
    found = store.problems(ledger, room="calendar", account=place.account)
    assert [(item.kind, item.subject.rsplit("/", 1)[1]) for item in found] == [("journal", "note.ics")]
    decide(ledger, found[0])
    sync_account(access, ledger, place.account)
    assert "BEGIN:VTODO" in place.text("note.ics")
    assert store.problems(ledger, room="calendar", account=place.account, states=("open", "decided")) == []


def test_two_items_of_one_uid_are_told_apart(access: Access, ledger: Ledger, place: Place) -> None:
    place.put("a.ics", calendar("a", "SUMMARY:Premier"))
    sync_account(access, ledger, place.account)
    other = calendar("a", "SUMMARY:Le mien")
    place.owner.delete(f"{place.calendar}a.ics", if_match=place.owner.etags(place.calendar)[f"{place.calendar}a.ics"])
    place.owner.put(f"{place.calendar}mine.ics", "calendar", other)
    place.put("a.ics", calendar("a", "SUMMARY:Changé"))
    sync_account(access, ledger, place.account)
    assert place.names() == {"mine.ics"}
    found = store.problems(ledger, room="calendar", account=place.account)
    assert [item.kind for item in found] == ["both-changed"]


def test_a_change_by_the_user_on_new_stays(access: Access, ledger: Ledger, place: Place) -> None:
    place.put("e.ics", calendar("e", "SUMMARY:Avant"))
    sync_account(access, ledger, place.account)
    etag = place.owner.etags(place.calendar)[f"{place.calendar}e.ics"]
    place.owner.put(f"{place.calendar}e.ics", "calendar", calendar("e", "SUMMARY:À moi"), if_match=etag)
    place.put("f.ics", calendar("f", "SUMMARY:Autre"))
    counts = sync_account(access, ledger, place.account)
    assert (counts.kept, counts.copied) == (1, 1)
    assert "À moi" in place.text("e.ics")


@pytest.mark.parametrize("died_at", [1, 4, 9])
def test_a_pass_that_died_is_taken_up(
    access: Access, ledger: Ledger, place: Place, monkeypatch: pytest.MonkeyPatch, died_at: int
) -> None:
    for number in range(8):
        place.put(f"e{number}.ics", calendar(f"e{number}", f"SUMMARY:Numéro {number}"))
    request, count = Session.request, 0

    def dying(self: Session, method: str, url: str, **rest: Any) -> httpx.Response:
        nonlocal count
        response = request(self, method, url, **rest)
        count += method == "PUT" and place.name in url
        if count >= died_at or (died_at > 8 and method == "REPORT" and count == 8):
            raise KeyboardInterrupt
        return response

    monkeypatch.setattr(Session, "request", dying)
    with pytest.raises(KeyboardInterrupt):
        sync_account(access, ledger, place.account)
    monkeypatch.setattr(Session, "request", request)
    sync_account(access, ledger, place.account)
    assert place.names() == {f"e{number}.ics" for number in range(8)}
    assert store.problems(ledger, room="calendar", account=place.account) == []
    assert sync_account(access, ledger, place.account).copied == 0


def test_identities_come_from_the_directory_once(lab: Any, ledger: Ledger, people: list[Any]) -> None:
    raw, account = lab.site.model_dump(), people[len(people) // 2]
    identity = '[{"email": {{ entry.mail[0] | tojson }}, "fullName": {{ entry.cn[0] | tojson }}, "isDefault": 1}]'
    raw["webmail"]["preferences"] = {"host": "sogo", "values": {"SOGoMailIdentities": identity}}
    tool = ["runuser", "-u", "sogo", "--", "sogo-tool", "user-preferences"]
    lab.ssh("sogo", *tool, "unset", "defaults", account.name, "SOGoMailIdentities")
    access = lab.access(Site.model_validate(raw))
    assert set_preferences(access, ledger, [account.name], dry_run=True) == 1
    assert set_preferences(access, ledger, [account.name]) == 1
    shown = lab.ssh("sogo", *tool, "get", "defaults", account.name, "SOGoMailIdentities")
    assert json.loads(shown.split(":", 1)[1])[0]["email"] == account.entry["mail"][0]
    assert set_preferences(access, ledger, [account.name]) == 0
    access.close()


def test_the_login_that_new_refuses_is_said(lab: Any, ledger: Ledger, people: list[Any]) -> None:
    environ = dict(lab.environ)
    name = "AIRFLOW_CONN_BASCULE_CALENDARS_NEW"
    environ[name] = environ[name].replace(lab.secrets.calendars_new, "wrong")
    access = lab.access(environ=environ)
    with (
        servers.opened(access, access.site.calendars.new, people[0].name) as new,
        pytest.raises(Exception, match="refuses the login"),
    ):
        new.session.collections(new.calendars, "calendar")


@pytest.mark.parametrize(
    ("domain", "homes"),
    [
        ("sogo.obs.test", ("/SOGo/dav/{0}/Calendar/", "/SOGo/dav/{0}/Contacts/")),
        ("web.obs.test:5232", ("/{0}/", "/{0}/")),
    ],
)
def test_the_homes_are_found_from_a_domains_well_known_address(
    lab: Any, people: list[Any], domain: str, homes: tuple[str, str]
) -> None:
    account, environ, name = people[0].name, dict(lab.environ), "AIRFLOW_CONN_BASCULE_CALENDARS_NEW"
    password = lab.secrets.calendars_filler if "web" in domain else lab.secrets.password_of(account)
    login = CALENDAR_FILLER if "web" in domain else account
    environ[name] = json.dumps(json.loads(environ[name]) | {"login": login, "password": password})
    access = lab.access(environ=environ)
    part = CalendarServerPart(
        connection="bascule_calendars_new", url=f"https://{domain}/.well-known/caldav", discover=True
    )
    with servers.opened(access, part, account) as server:
        assert (server.calendars, server.contacts) == tuple(home.format(login) for home in homes)
    access.close()

"""Homes found by the server's own word."""

import re
import ssl
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from bascule.calendars.dav import discovery
from bascule.calendars.dav.client import Session
from bascule.calendars.dav.http import DavError
from bascule.calendars.dav.model import Kind
from bascule.calendars.servers import opened as opened_server
from bascule.hosts.connections import AccessError
from bascule.site import CalendarServerPart


def opened(access: Any, url: str) -> Any:
    part = CalendarServerPart(connection="old", url=url, discover=True)
    return opened_server(access, part, "zoe")


@pytest.mark.parametrize("start", ["/zoe/", "/", "/.well-known/caldav"])
def test_the_homes_are_found_from_the_principal_and_from_any_page(access: Any, servers: Any, start: str) -> None:
    old, _ = servers
    old.make("/bascule/agenda/", "calendar")
    old.make("/zoe/agenda/", "calendar")
    with opened(access, old.url + start) as server:
        owner = "zoe" if start == "/zoe/" else "bascule"  # the login's own, where nobody else is named
        assert (server.calendars, server.contacts) == (f"/{owner}/", f"/{owner}/")
        found = server.session.collections(server.calendars, "calendar").collections
        assert [each.name for each in found] == ["agenda"]


def test_a_server_that_names_no_home_is_said(access: Any, servers: Any) -> None:
    old, _ = servers
    empty = b'<multistatus xmlns="DAV:"><response><href>/zoe/</href></response></multistatus>'
    old.faults.plan = lambda method, path, count: ("207 Multi-Status", empty)
    with pytest.raises(DavError, match="names no home"), opened(access, old.url + "/zoe/"):
        pass


def test_the_address_may_be_percent_encoded(access: Any, servers: Any) -> None:
    part = CalendarServerPart(connection="old", url=servers[0].url + "/h%C3%A9/{{ account }}/")
    with opened_server(access, part, "zoe") as server:
        assert server.calendars == "/h%C3%A9/zoe/"


def test_what_is_another_ones_in_the_home_is_left_out() -> None:
    """A SOGo shows shared calendars, and the address books of all, among a person's own."""
    shown = [
        ("/dav/zoe/Calendar/", "zoe", ""),
        ("/dav/zoe/Calendar/own/", "zoe", "<c:calendar/>"),
        ("/dav/zoe/Calendar/silent/", "", "<c:calendar/>"),
        ("/dav/zoe/Calendar/bob_agenda/", "bob", "<c:calendar/>"),
    ]
    answers = "".join(
        f"<response><href>{href}</href><propstat><status>HTTP/1.1 200 OK</status><prop>"
        + f"<resourcetype>{kind}</resourcetype>"
        + (f"<owner><href>/dav/{owner}/</href></owner>" if owner else "")
        + "</prop></propstat></response>"
        for href, owner, kind in shown
    )
    text = f'<multistatus xmlns="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav">{answers}</multistatus>'
    client = httpx.Client(
        base_url="http://old.test", transport=httpx.MockTransport(lambda request: httpx.Response(207, text=text))
    )
    found = Session(client).collections("/dav/zoe/Calendar/", "calendar")
    assert [item.name for item in found.collections] == ["own", "silent"]


def test_a_home_of_both_kinds_is_listed_once_for_both_and_anew_when_it_is_asked_again() -> None:
    """Servers read whole collections for their tags."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        kinds = {"agenda": "<c:calendar/>", "people": "<a:addressbook/>", f"made-{len(asked)}": "<c:calendar/>"}
        shown = "".join(
            f"<response><href>/zoe/{name}/</href><propstat><status>HTTP/1.1 200 OK</status><prop>"
            f"<resourcetype>{kind}</resourcetype></prop></propstat></response>"
            for name, kind in kinds.items()
        )
        spaces = 'xmlns="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:a="urn:ietf:params:xml:ns:carddav"'
        return httpx.Response(207, text=f"<multistatus {spaces}>{shown}</multistatus>")

    session = Session(httpx.Client(base_url="http://old.test", transport=httpx.MockTransport(answer)))

    def names(kind: Kind) -> list[str]:
        return [found.name for found in session.collections("/zoe/", kind).collections]

    assert (names("calendar"), names("addressbook")) == (["agenda", "made-1"], ["people"])
    assert len(asked) == 1
    assert names("calendar") == ["agenda", "made-2"]
    assert names("calendar") == ["agenda", "made-3"]


@pytest.mark.parametrize("choice", ["opaque", "transparent"])
def test_whether_a_calendar_counts_in_free_busy_is_read_and_written(choice: str) -> None:
    """RFC 6638 section 9.1: the value is an element."""
    sent: list[str] = []
    kind = "<resourcetype><c:calendar/></resourcetype><c:schedule-calendar-transp><c:{}/></c:schedule-calendar-transp>"
    text = (
        '<multistatus xmlns="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><response><href>/zoe/agenda/</href>'
        f"<propstat><status>HTTP/1.1 200 OK</status><prop>{kind.format(choice)}</prop></propstat>"
        "</response></multistatus>"
    )

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.content.decode())
        return httpx.Response(207, text=text)

    session = Session(httpx.Client(base_url="http://old.test", transport=httpx.MockTransport(answer)))
    found = session.collection("/zoe/agenda/")
    assert found is not None
    session.set_properties("/zoe/agenda/", found.properties)
    assert re.search(f"<c:schedule-calendar-transp><c:{choice}/></c:schedule-calendar-transp>", sent[-1])


class Web:
    """Hosts that lead on, and the records of DNS; every request is remembered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, leads: dict[str, str], records: dict[str, list[Any]]) -> None:
        self.leads, self.asked, client = leads, list[httpx.Request](), httpx.Client
        monkeypatch.setattr(
            discovery.httpx, "Client", lambda **_: client(transport=httpx.MockTransport(self.answer), timeout=5)
        )
        monkeypatch.setattr(discovery, "_records", lambda name, kind: records.get(f"{name} {kind}", []))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        there = self.leads.get(str(request.url), "")
        if there.isdigit():
            return httpx.Response(int(there))
        return httpx.Response(301, headers={"location": there}) if there else httpx.Response(401)


def srv(target: str, port: int = 443, priority: int = 0, weight: int = 0) -> Any:
    return SimpleNamespace(target=target, port=port, priority=priority, weight=weight)


def txt(*strings: bytes) -> Any:
    return SimpleNamespace(strings=strings)


START = "https://univ.test/.well-known/caldav"
NAME = "_caldavs._tcp.univ.test"


@pytest.mark.parametrize(
    ("leads", "records", "place"),
    [
        ({}, {}, START),
        ({START: "/dav/"}, {}, "https://univ.test/dav/"),
        ({START: "https://dav.univ.test/x/", "https://dav.univ.test/x/": "/y/"}, {}, "https://dav.univ.test/y/"),
        ({START: "404"}, {}, "https://univ.test/"),
        ({}, {f"{NAME} SRV": [srv("b.test.", 1, 5), srv("a.test.", 8443)]}, "https://a.test:8443/.well-known/caldav"),
        (
            {},
            {f"{NAME} SRV": [srv("a.test.")], f"{NAME} TXT": [txt(b"v=1"), txt(b"path=", b"/cal/")]},
            "https://a.test:443/cal/",
        ),
    ],
)
def test_the_service_is_found_by_dns_and_by_its_well_known_address(
    monkeypatch: pytest.MonkeyPatch, leads: dict[str, str], records: dict[str, list[Any]], place: str
) -> None:
    """RFC 6764 section 6. No login is sent before the end of the way is known."""
    web = Web(monkeypatch, leads, records)
    assert discovery.located(START, ssl.create_default_context()) == place
    assert not any("authorization" in request.headers for request in web.asked)


@pytest.mark.parametrize(
    ("leads", "records", "words"),
    [
        ({START: "http://univ.test/dav/"}, {}, "not encrypted"),
        ({START: START}, {}, "leads on and on"),
        ({}, {f"{NAME} SRV": [srv(".")]}, "no such service"),
    ],
)
def test_a_way_that_leads_nowhere_is_said(
    monkeypatch: pytest.MonkeyPatch, leads: dict[str, str], records: dict[str, list[Any]], words: str
) -> None:
    Web(monkeypatch, leads, records)
    with pytest.raises(AccessError, match=words):
        discovery.located(START, ssl.create_default_context())


def test_an_address_that_is_not_well_known_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    web = Web(monkeypatch, {}, {})
    assert discovery.located("https://univ.test/dav/zoe/", ssl.create_default_context()) == "https://univ.test/dav/zoe/"
    assert web.asked == []


def test_a_home_on_another_host_is_not_looked_for_here() -> None:
    text = (
        '<multistatus xmlns="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><response><href>/zoe/</href><propstat>'
        "<status>HTTP/1.1 200 OK</status><prop><c:calendar-home-set><href>https://evil.test/zoe/</href>"
        "</c:calendar-home-set></prop></propstat></response></multistatus>"
    )
    transport = httpx.MockTransport(lambda _: httpx.Response(207, text=text))
    with pytest.raises(DavError, match=r"another host: write https://evil\.test/zoe/"):
        Session(httpx.Client(base_url="http://old.test", transport=transport)).homes("/zoe/")

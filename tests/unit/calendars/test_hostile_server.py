"""What a server says that is broken, half or hostile: nothing is lost by it, and one item holds back no other."""

import re
import time
from typing import Any

import httpx
import pytest
from bascule.calendars import Counts, places, sync_account
from bascule.calendars.dav import xml
from bascule.calendars.dav.client import Session
from bascule.calendars.dav.http import DavError
from bascule.calendars.dav.model import Collection
from bascule.calendars.ical.syntax import parse
from bascule.calendars.writing import item_name
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger
from bascule.problems import store
from bascule.problems.model import Option
from calendar_items import card, event
from deciding import open_problems
from fake_dav import FakeDav, one_pass

from tests.deciding import decide


@pytest.fixture
def carried(servers: Any, access: Any, ledger: Ledger) -> Any:
    """Three events were carried; a fourth has come to old since."""
    old, new = servers
    old.make("/zoe/agenda/", "calendar")
    new.make("/zoe/personal/", "calendar", "Personal")
    for number in range(3):
        old.put(f"/zoe/agenda/e{number}.ics", event(f"e{number}"))
    sync_account(access, ledger, "zoe")
    old.put("/zoe/agenda/e3.ics", event("e3"))
    return old, new


def session(status: int, body: str = "", **headers: str) -> Session:
    """A session with a server that always answers the same."""
    answer = httpx.MockTransport(lambda request: httpx.Response(status, text=body, headers=headers))
    return Session(httpx.Client(base_url="http://old.test", transport=answer), lambda _: None)


MULTISTATUS = '<multistatus xmlns="DAV:">{}</multistatus>'
NO_LISTINGS = {
    "nothing": MULTISTATUS.format(""),
    "login page": '<html xmlns="http://www.w3.org/1999/xhtml"><body>Login</body></html>',
    "half": '<multistatus xmlns="DAV:"><response><href>/zoe/agenda/</href>',
    "part": MULTISTATUS.format(
        "<response><href>/zoe/agenda/</href><status>HTTP/1.1 507 Insufficient Storage</status></response>"
    ),
}


@pytest.mark.parametrize("body", NO_LISTINGS.values(), ids=NO_LISTINGS.keys())
def test_what_is_no_whole_listing_removes_nothing(access: Any, ledger: Ledger, carried: Any, body: str) -> None:
    old, new = carried
    old.faults.plan = lambda method, path, _: (
        ("207 Multi-Status", body.encode()) if (method, path) == ("PROPFIND", "/zoe/agenda/") else None
    )
    assert sync_account(access, ledger, "zoe").problems == 1
    assert open_problems(ledger) == [("collection", "/zoe/agenda/")]
    [problem] = store.problems(ledger)
    assert problem.explanation.startswith("“Réunions” (/zoe/agenda/): nothing of it is carried, and nothing removed: ")
    assert "PROPFIND /zoe/agenda/ was answered with" in problem.explanation
    old.faults.plan = None
    assert new.names("/zoe/personal/") == ["e0.ics", "e1.ics", "e2.ics"]
    assert sync_account(access, ledger, "zoe").copied == 1


def test_an_item_whose_etag_is_withheld_is_not_gone() -> None:
    entry = "<response><href>/c/{}</href>{}</response>"
    failed = "<propstat><prop><getetag/></prop><status>HTTP/1.1 500 Broken</status></propstat>"
    told = "<propstat><prop><getetag>e</getetag></prop><status>HTTP/1.1 200 OK</status></propstat>"
    body = entry.format("", told) + entry.format("a.ics", failed) + entry.format("b.ics", told)
    body += entry.format("gone.ics", "<status>HTTP/1.1 404 Not Found</status>")
    assert session(207, MULTISTATUS.format(body)).etags("/c/") == {"/c/a.ics": "", "/c/b.ics": "e"}


def test_an_account_that_old_does_not_know_has_nothing_to_carry(access: Any, ledger: Ledger, servers: Any) -> None:
    assert sync_account(access, ledger, "new-here") == Counts()


def test_a_home_that_was_there_and_is_not_is_an_error(access: Any, ledger: Ledger, carried: Any) -> None:
    old, _ = carried
    old.faults.plan = lambda method, path, _: ("404 Not Found", b"") if path == "/zoe/" else None
    with pytest.raises(AccessError, match="404"):
        sync_account(access, ledger, "zoe")


@pytest.mark.parametrize(("status", "words"), [(403, "no"), (500, "broken")])
def test_an_item_that_old_lists_and_does_not_give_is_a_problem_of_its_own(
    access: Any, ledger: Ledger, carried: Any, status: int, words: str
) -> None:
    old, new = carried

    def withhold(method: str, path: str, _: int) -> Any:
        if method == "REPORT":
            return "207 Multi-Status", MULTISTATUS.format("").encode()
        return (f"{status} {words}", b"") if path.endswith("/e3.ics") else None

    old.put("/zoe/agenda/e4.ics", event("e4"))
    old.faults.plan = withhold
    counts = sync_account(access, ledger, "zoe")
    assert (counts.copied, counts.problems) == (1, 1)
    assert new.names("/zoe/personal/") == ["e0.ics", "e1.ics", "e2.ics", "e4.ics"]
    assert open_problems(ledger) == [("unreadable", "/zoe/agenda/e3.ics")]
    old.faults.plan = None
    assert sync_account(access, ledger, "zoe").copied == 1
    assert open_problems(ledger) == []


def test_an_item_that_old_does_not_give_is_left_out_by_decision(access: Any, ledger: Ledger, carried: Any) -> None:
    old, new = carried
    empty = MULTISTATUS.format("").encode()
    old.faults.plan = lambda method, path, _: (
        ("207 Multi-Status", empty) if method == "REPORT" else ("403 No", b"") if path.endswith("/e3.ics") else None
    )
    sync_account(access, ledger, "zoe")
    decide(ledger, option=Option.LEAVE_OUT)
    sync_account(access, ledger, "zoe")
    assert store.problems(ledger, states=("open", "decided")) == []
    assert sync_account(access, ledger, "zoe").problems == 0
    assert new.names("/zoe/personal/") == ["e0.ics", "e1.ics", "e2.ics"]


def test_a_login_page_in_the_place_of_an_item_is_not_written(access: Any, ledger: Ledger, carried: Any) -> None:
    old, new = carried
    empty = MULTISTATUS.format("").encode()
    page = "200 OK", b"<html><body>Login</body></html>"
    old.faults.plan = lambda method, path, _: (
        ("207 Multi-Status", empty) if method == "REPORT" else page if path.endswith("/e3.ics") else None
    )
    sync_account(access, ledger, "zoe")
    assert open_problems(ledger) == [("unreadable", "/zoe/agenda/e3.ics")]
    assert "PUT" not in {method for method, path in new.faults.requests if path.endswith("e3.ics")}
    old.faults.plan = None
    assert sync_account(access, ledger, "zoe").copied == 1
    assert open_problems(ledger) == []


def test_an_item_that_goes_while_it_is_read_is_no_problem(
    access: Any, ledger: Ledger, carried: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = carried
    contents = Session.contents

    def late(self: Session, *asked: Any) -> Any:
        old.request("DELETE", "/zoe/agenda/e3.ics")
        return contents(self, *asked)

    monkeypatch.setattr(Session, "contents", late)
    counts = sync_account(access, ledger, "zoe")
    assert (counts.copied, counts.problems) == (0, 0)
    assert new.names("/zoe/personal/") == ["e0.ics", "e1.ics", "e2.ics"]


def test_what_was_not_asked_for_and_what_comes_twice_is_not_taken() -> None:
    entry = (
        '<response><href>{}</href><propstat><prop><getetag>e</getetag><c:calendar-data xmlns:c="urn:ietf:params:xml:'
        'ns:caldav">x</c:calendar-data></prop><status>HTTP/1.1 200 OK</status></propstat></response>'
    )
    body = "".join(entry.format(href) for href in ("/c/a.ics", "/c/a.ics", "/bob/secret.ics"))
    found = session(207, MULTISTATUS.format(body)).contents("/c/", "calendar", ["/c/a.ics"])
    assert [item.href for item in found] == ["/c/a.ics"]


def test_a_server_that_says_yes_and_stores_nothing_is_found_out(access: Any, ledger: Ledger, carried: Any) -> None:
    _, new = carried
    new.faults.plan = lambda method, _, __: ("201 Created", b"") if method == "PUT" else None
    assert sync_account(access, ledger, "zoe").problems == 1
    assert open_problems(ledger) == [("vanished", "/zoe/agenda/e3.ics")]
    new.faults.plan = None
    assert sync_account(access, ledger, "zoe").copied == 1
    assert open_problems(ledger) == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PROPFIND"])
def test_a_redirect_is_no_answer(method: str) -> None:
    with pytest.raises(DavError, match=r"redirected to https://sso\.test/login: write the address"):
        session(302, location="https://sso.test/login").request(method, "/c/a.ics")


BOMB = (
    '<!DOCTYPE m [<!ENTITY a "{}">'.format("x" * 1000)
    + "".join(f'<!ENTITY {name} "{f"&{before};" * 100}">' for before, name in ("ab", "bc", "cd", "de"))
    + ']><multistatus xmlns="DAV:"><response><href {}>{}</href></response></multistatus>'
)
FILE = (
    '<!DOCTYPE m [<!ENTITY e SYSTEM "file:///etc/passwd">]><multistatus xmlns="DAV:"><href>{}&e;</href></multistatus>'
)


@pytest.mark.parametrize("start", ["", '<?xml version="1.0"?>\n', "<!-- <a> -->", "\ufeff"])
@pytest.mark.parametrize(
    "text", [BOMB.format('a="&e;"', ""), BOMB.format("", "&e;"), FILE], ids=["bomb", "text", "file"]
)
def test_an_answer_with_a_document_type_is_not_read(start: str, text: str) -> None:
    began = time.process_time()
    for encoding in ("utf-8", "utf-16"):
        with pytest.raises(xml.NoAnswer):
            xml.root((start + text).encode(encoding))
    assert time.process_time() - began < 5  # more than linear would be minutes


def test_a_document_type_inside_an_item_is_the_items_own() -> None:
    assert xml.root(b"<a><![CDATA[<!DOCTYPE html>]]></a>").text == "<!DOCTYPE html>"


@pytest.mark.parametrize("name", ["..", ".", "...", "%2e%2e", "a%2fb.ics", "x" * 300 + ".ics", "a b.ics"])
def test_an_items_place_on_new_is_below_its_collection(name: str) -> None:
    made = item_name(f"/zoe/agenda/{name}", parse(event("e")))
    assert made.strip(".")
    assert len(made) <= 204
    assert "/" not in made


def test_two_collections_never_go_to_one_place() -> None:
    names = ("agenda", "personal", "agenda.ics", "personal-2", "..", ".", "d'été", "d’été", "a~b", "会議", "x" * 300)
    found: list[str] = []
    for name in names:
        collection = Collection(f"/old/{name}/", "calendar")
        found.append(places.free_place(collection, "/dav/zoe/", ["agenda"], "personal", found))
    assert found[0] == "/dav/zoe/personal/"
    assert len(set(found)) == len(found)
    assert all(re.fullmatch(r"/dav/zoe/[A-Za-z0-9_@+-][A-Za-z0-9_.@+-]{0,80}/", place) for place in found)


def test_another_item_whose_uid_only_begins_alike_is_not_taken_for_it(access: Any, servers: Any) -> None:
    _, new = servers
    new.make("/zoe/personal/", "calendar")
    new.make("/zoe/carnet/", "addressbook")
    new.put("/zoe/personal/x.ics", event("e10"))
    new.put("/zoe/carnet/x.vcf", card("c10"))
    client = httpx.Client(base_url=new.url, auth=("bascule", "x"))
    assert Session(client).find_uid("/zoe/personal/", "calendar", "e1") is None
    assert Session(client).find_uid("/zoe/carnet/", "addressbook", "c1") is None
    assert Session(client).find_uid("/zoe/personal/", "calendar", "e10") is not None
    client.close()


def test_an_item_that_is_not_utf8_is_read_as_windows_text() -> None:
    answer = httpx.MockTransport(lambda _: httpx.Response(200, content=card("c").encode("cp1252")))
    found = Session(httpx.Client(base_url="http://old.test", transport=answer)).get("/c/c.vcf")
    assert found is not None
    assert "Zoé Lefèvre" in found.text


OLD_CARD = "BEGIN:VCARD\r\nVERSION:2.1\r\nUID:{0}\r\nN:A;B\r\nFN{1}\r\nEND:VCARD\r\n"
GUESSED = ";ENCODING=QUOTED-PRINTABLE:Caf=E9"


@pytest.mark.parametrize(
    ("name", "problems"), [(";CHARSET=ISO-8859-1:Café", []), (f"{GUESSED}\r\nNOTE{GUESSED}", ["charset"])]
)
def test_a_guess_about_an_old_card_is_said_and_what_xml_has_is_no_guess(
    ledger: Ledger, name: str, problems: list[str]
) -> None:
    old = FakeDav({"/old/": "", "/old/c/": "addressbook"}, {"/old/c/1.vcf": OLD_CARD.format("u", name).encode()})
    new = FakeDav({"/new/": ""})
    one_pass(ledger, "zoe", old, new)
    [text] = [data.decode() for data in new.items.values()]
    assert "FN:Café\r\n" in text
    found = store.problems(ledger)
    assert [problem.kind for problem in found] == problems
    assert all("line 5: FN" in problem.explanation and "line 6: NOTE" in problem.explanation for problem in found)

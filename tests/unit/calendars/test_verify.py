"""Differences that are planted behind the copier's back: each kind is named, by the pass and by a verification."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_dav
import httpx
import pytest
from bascule.calendars import sync_account
from bascule.calendars.__main__ import main
from bascule.calendars.dav.client import Session
from bascule.calendars.dav.model import Items
from bascule.calendars.ical.syntax import parse
from bascule.calendars.verify import Verification, verify_account
from bascule.ledger import Ledger
from bascule.problems import store
from bascule.problems.model import Option
from calendar_items import card
from deciding import open_problems
from fake_dav import FakeDav, one_pass
from test_folder import exported_to

from tests.calendar_shapes import CALENDARS, NAME, PACIFIC, SERIES, calendar, event, zoned
from tests.deciding import decide

SERIES_OF_ZONE = calendar(
    PACIFIC.format(NAME), zoned("z", NAME, "", SERIES, f'EXDATE;TZID="{NAME}":20270704T090000', "SUMMARY:Série")
)
PLAIN = calendar(event("e", "LOCATION:Salle", "GEO:48.8;2.3", "SUMMARY:Réunion"))
Plant = Callable[[str], str]
PLANTS: dict[str, tuple[str, Plant]] = {
    "property": ("LOCATION is “Cave”, and was “Salle”", lambda text: text.replace("Salle", "Cave")),
    "property that is lost": ("LOCATION “Salle” is lost", lambda text: text.replace("LOCATION:Salle\r\n", "")),
    "property that is added": (
        "COMMENT “x” is there besides",
        lambda text: text.replace("LOCATION:Salle", "LOCATION:Salle\r\nCOMMENT:x"),
    ),
    "backslash": ("GEO is “48.8\\;2.3”, and was “48.8;2.3”", lambda text: text.replace("48.8;2.3", "48.8\\;2.3")),
    "zone": ("was UTC-07:00", lambda text: text.replace("TZOFFSETTO:-0700", "TZOFFSETTO:-0600")),
    "occurrence": (
        "it also takes place on 2027-07-04 16:00 UTC",
        lambda text: "\r\n".join(line for line in text.split("\r\n") if not line.startswith("EXDATE")),
    ),
    "occurrence that is lost": (
        "it no longer takes place on 2027-08-01",
        lambda text: text.replace("COUNT=6", "COUNT=5"),
    ),
}


def unfolded(text: str) -> str:
    return text.replace("\r\n ", "")


@pytest.fixture
def carried(servers: Any, access: Any, ledger: Ledger) -> Any:
    old, new = servers
    old.make("/zoe/agenda/", "calendar", "Agenda")
    old.make("/zoe/amis/", "addressbook", "Amis")
    new.make("/zoe/personal/", "calendar", "Personal")
    old.put("/zoe/agenda/e.ics", PLAIN)
    old.put("/zoe/agenda/z.ics", SERIES_OF_ZONE)
    old.put("/zoe/amis/c.vcf", card("c"))
    sync_account(access, ledger, "zoe")
    assert open_problems(ledger) == []
    return old, new


def verified(access: Any, ledger: Ledger) -> Verification:
    return verify_account(access, ledger, "zoe")


def test_nothing_differs_after_a_pass(access: Any, ledger: Ledger, carried: Any) -> None:
    assert verified(access, ledger) == Verification(compared=3, same=3)


@pytest.mark.parametrize(("words", "plant"), PLANTS.values(), ids=PLANTS.keys())
def test_what_new_alters_while_it_is_written_is_named_by_the_pass(
    servers: Any, access: Any, ledger: Ledger, words: str, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = servers
    old.make("/zoe/agenda/", "calendar", "Agenda")
    new.make("/zoe/personal/", "calendar", "Personal")
    old.put("/zoe/agenda/e.ics", PLAIN)
    old.put("/zoe/agenda/z.ics", SERIES_OF_ZONE)
    put = Session.put
    monkeypatch.setattr(
        Session, "put", lambda self, href, kind, text, **more: put(self, href, kind, plant(unfolded(text)), **more)
    )
    sync_account(access, ledger, "zoe")
    [problem] = store.problems(ledger)
    assert (problem.kind, problem.title[:5]) == ("altered", "Réuni" if "e.ics" in problem.subject else "Série")
    assert words in problem.explanation
    assert "in the calendar “Agenda” (/zoe/agenda/" in problem.explanation


@pytest.mark.parametrize(("words", "plant"), PLANTS.values(), ids=PLANTS.keys())
def test_what_is_altered_afterwards_is_named_by_a_verification(
    access: Any, ledger: Ledger, carried: Any, words: str, plant: Plant
) -> None:
    _, new = carried
    for name in ("e.ics", "z.ics"):
        text = unfolded(new.get(f"/zoe/personal/{name}"))
        if plant(text) != text:
            new.put(f"/zoe/personal/{name}", plant(text))
    found = verified(access, ledger)
    assert (found.compared, found.same, found.unknown, len(found.lines)) == (3, 2, 1, 1)
    assert found.lines[0].startswith("another ")
    assert words in found.lines[0]


def test_what_is_absent_and_what_is_there_besides_are_named(access: Any, ledger: Ledger, carried: Any) -> None:
    _, new = carried
    new.request("DELETE", "/zoe/personal/e.ics")
    new.request("DELETE", "/zoe/amis/c.vcf")
    new.put("/zoe/personal/own.ics", calendar(event("own", "SUMMARY:Le mien")))
    found = verified(access, ledger)
    assert sorted(line.split(" (old")[0] for line in found.lines) == [
        "absent on new: “Réunion (2027-06-27 09:00 UTC)” in the calendar “Agenda”",
        "absent on new: “Zoé Lefèvre” in the address book “Amis”",
        "only on new: “Le mien (2027-06-27 09:00 UTC)” in the calendar “Agenda”",
    ]
    assert (found.compared, found.same, found.unknown) == (3, 1, 2)


def test_a_whole_calendar_that_is_gone_is_named(access: Any, ledger: Ledger, carried: Any) -> None:
    carried[1].request("DELETE", "/zoe/personal/")
    found = verified(access, ledger)
    assert found.same == 1
    [words] = found.not_compared
    assert "“Agenda” (/zoe/agenda/): PROPFIND /zoe/personal/ was refused with 404" in words


def test_cards_of_one_uid_are_compared_in_whatever_order_they_come(
    servers: Any, access: Any, ledger: Ledger, carried: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [card("c"), card("c").replace("END:VCARD", "NOTE:x\r\nEND:VCARD"), card("d")]
    new, read_all = old[::-1], Session.read_all

    def as_if(session: Session, collection: str, kind: Any) -> Items:
        if kind == "calendar":
            return read_all(session, collection, kind)
        cards = new if str(session._client.base_url).startswith(servers[1].url) else old
        return Items([parse(text) for text in cards], [])

    monkeypatch.setattr(Session, "read_all", as_if)
    assert verified(access, ledger) == Verification(compared=5, same=5)
    new[1] = new[1].replace("NOTE:x", "NOTE:y")
    [line] = verified(access, ledger).lines
    assert "NOTE is “y”, and was “x”" in line
    del new[1]
    assert [line[:13] for line in verified(access, ledger).lines] == ["absent on new"]


def test_what_a_person_decided_is_said_with_the_difference(access: Any, ledger: Ledger, carried: Any) -> None:
    old, new = carried
    old.put("/zoe/agenda/bad.ics", calendar(event("bad", "SUMMARY:Refusé")))
    new.faults.plan = lambda method, path, _: ("400 Bad", b"") if method == "PUT" else None
    sync_account(access, ledger, "zoe")
    new.faults.plan = None
    assert [line[-23:] for line in verified(access, ledger).lines] == ["(asked about as refused)"[-23:]]
    decide(ledger, option=Option.LEAVE_OUT)
    sync_account(access, ledger, "zoe")
    found = verified(access, ledger)
    assert found.lines[0].endswith("(by decision of anne)")
    assert found.unknown == 0


@pytest.mark.parametrize("odd", CALENDARS)
def test_files_are_read_by_themselves(access: Any, servers: Any, ledger: Ledger, tmp_path: Path, odd: str) -> None:
    there = exported_to(access, servers, tmp_path / "export")
    (there.folder / "work.ics").write_bytes(CALENDARS[odd])
    sync_account(there, ledger, "zoe")
    found = verified(there, ledger)
    assert (found.lines, found.not_compared) == ([], [])
    assert found.same == found.compared > 0
    name = servers[1].names("/zoe/work/")[0]
    servers[1].request("DELETE", f"/zoe/work/{name}")
    assert [line[:14] for line in verified(there, ledger).lines] == ["absent on new:"]


def test_what_can_not_be_read_is_said(access: Any, servers: Any, ledger: Ledger, tmp_path: Path) -> None:
    there = exported_to(access, servers, tmp_path / "export")
    (there.folder / "work.ics").write_text(calendar(event("a"), event("b").replace("END:VEVENT\r\n", "")), newline="")
    (there.folder / "x.zip").write_bytes(b"PK")
    sync_account(there, ledger, "zoe")
    found = verified(there, ledger)
    assert [line.split(":")[0] for line in found.not_compared] == ["x.zip", "work.ics"]
    assert found.same == 1


def test_the_command_line_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["verify", "--help"])
    assert "accounts" in capsys.readouterr().out


def test_what_an_old_listing_has_lost_under_the_same_tag_is_named(ledger: Ledger) -> None:
    """No pass looks again at a collection whose tag says that nothing has changed."""
    items = {f"/old/a/{name}.ics": calendar(event(name)).encode() for name in "ab"}
    old, new = FakeDav({"/old/": "", "/old/a/": "calendar"}, items), FakeDav({"/new/": ""})
    entry = re.compile(rb"<response><href>/old/a/b.ics.*?</response>")

    def losing(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        is_listing = request.method == "PROPFIND" and request.url.path == "/old/a/"
        return httpx.Response(207, content=entry.sub(b"", response.content)) if is_listing else response

    old.rewrite = losing
    one_pass(ledger, "zoe", old, new)
    old.rewrite = lambda request, response: response
    one_pass(ledger, "zoe", old, new)
    assert len(new.items) == 1
    done = fake_dav.verified(ledger, "zoe", old, new)
    assert (done.compared, done.same, done.unknown) == (2, 1, 1)
    assert done.lines[0].startswith("absent on new: “Réunion")

"""The page of the moves: waves and how far they are, the stop by its visitor's own form, hostile names."""

import re
from datetime import datetime
from html import unescape

import pytest
from bascule.dashboard import moves as moves_page
from bascule.dashboard.moves import states_of
from bascule.dashboard.visitor import Visitor, token
from bascule.ledger import Ledger, carried, journal, moves, phases, task_log, waves
from bascule.ledger.base import now
from bascule.ledger.carried import Carried
from bascule.ledger.mailboxes import set_mailbox
from bascule.ledger.moves import Server, State
from bascule.ledger.task_log import Try
from bascule.ledger.waves import Planned
from bascule.site import Site
from fastapi.testclient import TestClient
from httpx import Response

from lab.measure.control_room import PaperDoor
from tests.unit.dashboard.conftest import client_of
from tests.unit.dashboard.reading import Read, cells

HOSTILE = "<script>alert(1)</script>\"'\u202egnp.exe"
NINE = datetime(2037, 12, 1, 8)
BEGIN = Try(journal.Origin("move", "run-2", "begin"), 1)


def press(client: TestClient, word: str, changed: dict[str, str] | None = None) -> Response:
    found = re.search(r'name="token" value="([^"]+)"', client.get("moves").text)
    sent = {"token": unescape(found[1]) if found else "", "word": word} | (changed or {})
    return client.post("moves", data=sent, follow_redirects=False)


def plan(ledger: Ledger, *accounts: str) -> None:
    waves.replace(ledger, [*(Planned(name, "1", NINE) for name in accounts), Planned("eve", note="37 share")])


def move(ledger: Ledger, account: str, to: Server, state: State, note: str = "") -> None:
    moves.note(ledger, moves.begin(ledger, account, to, {}, "run-1"), state, words=note)


def test_each_wave_says_how_far_it_is_and_its_accounts_why(client: TestClient, ledger: Ledger) -> None:
    plan(ledger, "anna", "bert", "carl", "dora")
    move(ledger, "anna", "new", State.DONE)
    move(ledger, "bert", "new", State.UNDONE, "mx can't be reached")
    move(ledger, "carl", "new", State.CARRYING)
    assert cells(client, "moves", "waves-title") == [
        ["1", "1 Dec 2037 09:00", "4", "1", "1", "1", "1"],
        ["Nobody has said yet when", "", "1", "", "", "", "1"],
    ]
    assert "carl the last pass" in Read(client.get("moves").text).text
    assert cells(client, "moves?wave=1", "list-title")[:3] == [
        ["anna", "moved", ""], ["bert", "not moved, as before", "mx can't be reached"], ["carl", "being moved", ""],
    ]  # fmt: skip
    assert cells(client, "moves?wave=", "list-title") == [["eve", "yet to move", "37 share"]]


@pytest.mark.parametrize(
    ("back", "told"), [(State.PREPARED, "being moved"), (State.UNDONE, "moved"), (State.DONE, "to come")]
)
def test_who_came_back_is_yet_to_move_again(ledger: Ledger, back: State, told: str) -> None:
    move(ledger, "anna", "new", State.DONE)
    move(ledger, "anna", "old", back)
    assert states_of(ledger) == {"anna": (told, "")}


def test_one_button_stops_the_moves_and_the_page_says_so_until_a_later_run_begins(
    client: TestClient, ledger: Ledger
) -> None:
    """Not one that was triggered before, and waited for another one."""
    before = now()
    assert press(client, "stop").status_code == 303
    said = waves.stopped(ledger, None)
    assert said is not None and said.by == "postmaster"
    assert re.search(r"Stopped \d\d:\d\d:\d\d by postmaster: ", Read(client.get("moves").text).text)
    (noted,) = journal.entries(ledger, kind="move")
    assert (noted.parameters, noted.origin.asked_by) == ({"what": "stop"}, "postmaster")
    phases.mark(ledger, "move", "started", BEGIN.origin, asked_at=before)
    assert "Stopped" in Read(client.get("moves").text).text
    phases.mark(ledger, "move", "started", BEGIN.origin, asked_at=now())
    assert "Stopped" not in Read(client.get("moves").text).text


def test_moves_that_went_on_before_bascule_was_renewed_are_not_shown_as_stopped(
    client: TestClient, ledger: Ledger
) -> None:
    """Its journal told only when a run began."""
    press(client, "stop")
    phases.mark(ledger, "move", "started", BEGIN.origin)
    assert "Stopped" not in Read(client.get("moves").text).text


def test_stopped_runs_may_go_on(client: TestClient, ledger: Ledger) -> None:
    press(client, "stop")
    press(client, "go on")
    assert waves.stopped(ledger, None) is None


@pytest.mark.parametrize(
    ("visitor", "changed", "status"),
    [
        ("helpdesk", {}, 403), ("postmaster", {"token": "x"}, 403), ("postmaster", {"token": ""}, 403),
        ("postmaster", {"word": "burn"}, 422),
    ],
)  # fmt: skip
def test_nobody_stops_them_who_may_not_or_by_a_foreign_form(
    ledger: Ledger, site: Site, visitor: str, changed: dict[str, str], status: int
) -> None:
    with client_of(ledger, site, visitor) as client:
        assert press(client, "stop", changed).status_code == status
    assert waves.last_signal(ledger) is None


def test_who_may_only_look_sees_no_button(ledger: Ledger, site: Site) -> None:
    with client_of(ledger, site, "helpdesk") as client:
        assert "<button" not in client.get("moves").text


def send(client: TestClient, data: bytes | str, changed: dict[str, str] | None = None) -> Response:
    found = re.search(r'name="token" value="([^"]+)"', client.get("moves").text)
    form = {"token": unescape(found[1]) if found else ""} | (changed or {})
    return client.post("moves.csv", data=form, files={"file": ("plan.csv", data)})


def test_the_plan_is_edited_as_a_spreadsheet_of_the_page(client: TestClient, ledger: Ledger) -> None:
    plan(ledger, "anna", "bert")
    with ledger.session() as session:
        set_mailbox(session, "carl", "verified")
        carried.remember(session, "anna", "folder", "acl", Carried("carl", "lrs", None, None, ours=True))
    table = client.get("moves.csv").content.decode("utf-8-sig").splitlines()
    assert table[1:] == ["anna,1,'2037-12-01 09:00,,", "bert,1,'2037-12-01 09:00,,", "eve,,,,37 share"]

    page = send(client, "\n".join([*table[:3], "carl,2,2037-12-02 09:00,,"]))
    assert page.status_code == 200
    text = Read(page.text).text
    assert "The plan was taken: 3 accounts have a start, 0 have none, 1 were changed, 1 taken out." in text
    assert "anna (wave 1) and carl (wave 2) share folders or calendars, and do not move together" in text
    assert [(each.account, each.wave) for each in waves.plan(ledger)] == [("anna", "1"), ("bert", "1"), ("carl", "2")]
    (noted,) = journal.entries(ledger, kind="move")
    assert (noted.subject, noted.origin.asked_by) == ("plan", "postmaster")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("account,wave,start\n" + HOSTILE + ",1,2037-12-01 09:00", "no account of the site has this name"),
        ("account,wave,start\nanna,1,tomorrow", "'tomorrow' is no start: write it as 2026-12-31 09:00"),
        (b"\xff\x00", ""),
        (b"", ""),
        (b"x" * (moves_page.LARGEST_FILE + 1), "the file is larger than"),
    ],
)
def test_a_file_that_makes_no_plan_changes_nothing(
    client: TestClient, ledger: Ledger, data: bytes | str, told: str
) -> None:
    plan(ledger, "anna", "bert")
    before = waves.plan(ledger)
    page = send(client, data)
    assert page.status_code == 422 and "<script>alert" not in page.text
    text = Read(page.text).text
    assert "The plan is as it was. The file can't be taken:" in text and told in text
    assert (waves.plan(ledger), journal.entries(ledger)) == (before, [])


@pytest.mark.parametrize(("visitor", "changed"), [("helpdesk", {}), ("postmaster", {"token": "x"})])
def test_nobody_changes_the_plan_who_may_not_or_by_a_foreign_form(
    ledger: Ledger, site: Site, visitor: str, changed: dict[str, str]
) -> None:
    plan(ledger, "anna")
    with client_of(ledger, site, visitor) as client:
        assert send(client, "account,wave,start\nanna,,", changed).status_code == 403
    assert [each.wave for each in waves.plan(ledger)] == ["1", ""]


def test_hostile_names_do_no_harm(client: TestClient, ledger: Ledger) -> None:
    waves.replace(ledger, [Planned(HOSTILE, HOSTILE[:20], NINE), Planned(HOSTILE + "2", note=HOSTILE)])
    waves.say(ledger, "stop", HOSTILE)
    moves.begin(ledger, HOSTILE, "new", {}, "run-1")
    for address in ("moves", "moves?wave=", f"moves?wave={HOSTILE[:20]}"):
        page = client.get(address).text
        assert "<script>alert" not in page and "\u202e" not in page, address


def test_what_failed_of_a_move_and_why_stands_on_the_first_page_and_on_this_one(
    client: TestClient, ledger: Ledger
) -> None:
    """Also where the mailbox has had its last pass meanwhile: of a move it is the smaller part."""
    phases.mark(ledger, "move", "started", BEGIN.origin)
    failed = Try(journal.Origin("move", "run-2", "account.move[3]"), 1, "anna", of_many=True)
    task_log.note(ledger, failed, "failed", "mx can't be reached")
    with ledger.session() as session:
        set_mailbox(session, "anna", "verified", last_pass_at=now())

    for address in ("./", "moves"):
        page = Read(client.get(address).text)
        assert "Move the accounts failed" in page.text and "anna: mx can't be reached" in page.text, address
        assert "../dags/move/runs/run-2/tasks/account.move/mapped/3" in page.links, address
    assert "1 task has failed." in Read(client.get("./").text).text


def test_the_stop_stands_before_the_accounts_that_are_under_way(client: TestClient, ledger: Ledger) -> None:
    moves.begin(ledger, "anna", "new", {}, "run-1")
    page = client.get("moves").text

    assert page.index('value="stop"') < page.index('href="account?name=anna"')


def test_who_may_not_stop_them_is_told_so(ledger: Ledger, site: Site) -> None:
    sent = {"word": "stop", "token": token(PaperDoor(), Visitor("helpdesk", False, bool))}
    told = [
        Read(client_of(ledger, site, "helpdesk", language).post("moves", data=sent).text).text
        for language in ("en", "fr")
    ]

    assert "you may not stop the moves" in told[0] and "vous ne pouvez pas arrêter les déplacements" in told[1]


def test_a_site_without_moves_has_no_such_page_in_its_menu(ledger: Ledger, site: Site) -> None:
    with client_of(ledger, site.model_copy(update={"moves": None})) as client:
        assert 'href="moves"' not in client.get("./").text
    with client_of(ledger, site) as client:
        assert 'href="moves"' in client.get("./").text

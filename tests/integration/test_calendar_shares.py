"""Calendars that others may see on the lab's Radicale are seen by them in its SOGo, and the rest is told."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bascule.calendars import sync_account
from bascule.calendars.dav.http import DavRefused
from bascule.calendars.shares import sharing
from bascule.calendars.sogo import acl
from bascule.calendars.sync import sync_shares
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger
from bascule.ledger.calendars import by_hand_lines, shares
from bascule.ledger.calendars import calendars as ledger_calendars
from bascule.moves.ties import ties
from bascule.problems.evidence import evidence_lines
from bascule.site import Site

from lab.hosts.secrets import CALENDAR_FILLER
from tests.integration.test_calendars import Place, calendar, make_place, people, place

__all__ = ["make_place", "people", "place"]

RIGHTS = "/etc/radicale/rights"


@pytest.fixture
def share(lab: Any) -> Iterator[Callable[..., None]]:
    """Write rules into Radicale's file, before the lab's own; they are gone afterwards."""
    before = lab.ssh("web", "cat", RIGHTS)

    def write(*rules: tuple[str, str, str]) -> None:
        text = "".join(
            f"[test-{number}]\nuser: {user}\ncollection: {path}\npermissions: {letters}\n\n"
            for number, (user, path, letters) in enumerate(rules)
        )
        lab.write("web", RIGHTS, text + before)

    yield write
    lab.write("web", RIGHTS, before)


@pytest.fixture
def guest(make_place: Callable[[str], Place], people: list[Any]) -> Place:
    return make_place(people[-2].name)


def carried(access: Access, ledger: Ledger, place: Place) -> None:
    place.put("e.ics", calendar("e", "SUMMARY:Partagé"))
    sync_account(access, ledger, place.account)


def seen_by(guest: Place, place: Place, cards: bool = False) -> str:
    """Where the guest finds the collection in SOGo."""
    what, ending = ("Contacts", "-cards") if cards else ("Calendar", "")
    return f"/SOGo/dav/{guest.account}/{what}/{place.account}_{place.name}{ending}/"


def restart_cache(lab: Any) -> None:
    lab.ssh("sogo", "systemctl", "restart", "memcached")  # the ordinary SOGo remembers people's settings for 5 minutes


def test_a_calendar_shared_on_old_is_visible_to_the_sharee_on_new(
    lab: Any, access: Access, ledger: Ledger, place: Place, guest: Place, share: Callable[..., None]
) -> None:
    carried(access, ledger, place)
    share((guest.account, f"{place.account}/{place.name}", "r"))
    assert sync_shares(access, ledger, [place.account]).given == 1
    together = tuple(sorted([guest.account, place.account]))
    assert ties(ledger, together) == {together}, "they move in one wave"
    restart_cache(lab)
    where = seen_by(guest, place)
    found = guest.owner.collection(where)
    assert found is not None
    assert "Équipe & amis (" in found.properties["{DAV:}displayname"]
    there = guest.owner.get(f"{where}e.ics")
    assert there is not None
    assert "SUMMARY:Partagé" in there.text
    written = guest.owner._client.put(
        f"{where}mine.ics", content=calendar("mine").encode(), headers={"Content-Type": "text/calendar; charset=utf-8"}
    )
    assert written.status_code == 403
    again = sync_shares(access, ledger, [place.account])
    assert (again.given, again.unchanged) == (0, 1)


def test_who_may_write_on_old_may_write_on_new(
    lab: Any, access: Access, ledger: Ledger, place: Place, guest: Place, share: Callable[..., None]
) -> None:
    carried(access, ledger, place)
    share((guest.account, f"{place.account}/{place.name}(-cards)?", "rw"))
    assert sync_shares(access, ledger, [place.account]).given == 2
    restart_cache(lab)
    guest.owner.put(f"{seen_by(guest, place)}mine.ics", "calendar", calendar("mine", "SUMMARY:De l'invité"))
    assert "De l'invité" in place.text("mine.ics")
    assert guest.owner.collection(seen_by(guest, place, cards=True)) is not None


def test_what_is_no_longer_shared_on_old_is_not_on_new(
    lab: Any, access: Access, ledger: Ledger, place: Place, guest: Place, share: Callable[..., None]
) -> None:
    carried(access, ledger, place)
    share((guest.account, f"{place.account}/{place.name}", "r"))
    sync_shares(access, ledger, [place.account])
    share()
    assert sync_shares(access, ledger, [place.account]).taken_back == 1
    restart_cache(lab)
    assert acl.users(place.owner, place.calendar) == ["<default>"]
    assert guest.owner.get(f"{seen_by(guest, place)}e.ics") is None


def test_what_the_owner_has_changed_on_new_stays(
    lab: Any, access: Access, ledger: Ledger, place: Place, guest: Place, share: Callable[..., None]
) -> None:
    carried(access, ledger, place)
    acl.set_roles(place.owner, place.calendar, guest.account, {"PublicDAndTViewer"})
    share((guest.account, f"{place.account}/{place.name}", "rw"))
    restart_cache(lab)
    assert sync_shares(access, ledger, [place.account]).kept == 1
    assert acl.roles(place.owner, place.calendar, guest.account) == {"PublicDAndTViewer"}


def test_an_unknown_person_and_what_sogo_has_no_right_for_are_named_with_what_to_click(
    access: Access, ledger: Ledger, place: Place, guest: Place, share: Callable[..., None]
) -> None:
    carried(access, ledger, place)
    path = f"{place.account}/{place.name}"
    share(("parti-en-2019", path, "r"), (guest.account, path, "w"), (".*", f"{path}-cards", "r"))
    sync_shares(access, ledger, [place.account])
    lines = [line for line in by_hand_lines(ledger) if f"of {place.account} on old" in line]
    assert len(lines) == 3
    assert any(
        "parti-en-2019 may read" in line and "the directory has no account parti-en-2019" in line for line in lines
    )
    assert any(
        line.startswith(f"{guest.account} may write, without reading") and "SOGo has no such right" in line
        for line in lines
    )
    assert all("opens SOGo" in line and "Sharing" in line for line in lines)
    assert [line for line in evidence_lines(ledger) if "parti-en-2019" in line] != []


def test_everybody_who_can_log_in_may_see_it_as_on_old(
    lab: Any, access: Access, ledger: Ledger, place: Place, guest: Place, share: Callable[..., None]
) -> None:
    carried(access, ledger, place)
    share((".+", f"{place.account}/{place.name}", "r"))
    assert sync_shares(access, ledger, [place.account]).given == 1
    restart_cache(lab)
    assert guest.owner.get(f"{place.calendar}e.ics") is not None


def test_who_sees_everything_on_old_is_told_once(
    access: Access, ledger: Ledger, place: Place, share: Callable[..., None]
) -> None:
    share()
    sync_shares(access, ledger, [place.account])
    rows = [row for row in shares(ledger) if not row.old_href]
    assert [row.who for row in rows] == [CALENDAR_FILLER]
    assert "SOGoSuperUsernames" in rows[0].words


def test_a_dry_run_gives_nothing(
    access: Access, ledger: Ledger, place: Place, guest: Place, share: Callable[..., None]
) -> None:
    carried(access, ledger, place)
    share((guest.account, f"{place.account}/{place.name}", "r"))
    assert sync_shares(access, ledger, [place.account], dry_run=True).given == 1
    assert acl.users(place.owner, place.calendar) == ["<default>"]
    assert shares(ledger) == []


@pytest.fixture
def told(lab: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Access, dict[str, Any]]]:
    """A site whose old server is asked for its lists, and what it says of each collection."""
    raw, says = lab.site.model_dump(mode="json"), {}
    raw["calendars"]["rights"] = None
    access = lab.access(Site.model_validate(raw))

    def grants(session: Any, href: str) -> Any:
        said = says.get(href, [])
        if isinstance(said, Exception):
            raise said
        return said

    monkeypatch.setattr(sharing, "grants", grants)
    monkeypatch.setattr(sharing, "delegates", lambda session, href: says.get("delegates", []))
    yield access, says
    access.close()


def test_a_server_in_trouble_takes_no_share_back(
    lab: Any, told: tuple[Access, dict[str, Any]], ledger: Ledger, place: Place, guest: Place
) -> None:
    access, says = told
    carried(access, ledger, place)
    old = f"/{place.account}/{place.name}/"
    says[old] = [sharing.Grant(guest.account, "free_busy")]
    assert sync_shares(access, ledger, [place.account]).given == 1
    says[old] = None  # it shows no list this time
    assert sync_shares(access, ledger, [place.account]).taken_back == 0
    says[old] = DavRefused("PROPFIND", old, 500, "out of order")
    with pytest.raises(AccessError, match=f"the shares of 1 of 1 account.*\\n  {place.account}: .*out of order"):
        sync_shares(access, ledger, [place.account])
    restart_cache(lab)
    assert acl.roles(place.owner, place.calendar, guest.account) == {f"{name}DAndTViewer" for name in sharing.CLASSES}


def test_a_delegate_may_do_it_with_every_calendar(
    lab: Any, told: tuple[Access, dict[str, Any]], ledger: Ledger, place: Place, guest: Place
) -> None:
    access, says = told
    carried(access, ledger, place)
    says["delegates"] = [sharing.Grant(guest.account, "write")]
    calendars = [row for row in ledger_calendars(ledger, place.account) if row.kind == "calendar"]
    assert sync_shares(access, ledger, [place.account]).given == len(calendars)
    restart_cache(lab)
    guest.owner.put(f"{seen_by(guest, place)}mine.ics", "calendar", calendar("mine", "SUMMARY:Du délégué"))
    assert "Du délégué" in place.text("mine.ics")
    says.clear()
    assert sync_shares(access, ledger, [place.account]).taken_back == len(calendars)


def test_sogos_own_access_control_lists_and_roles_are_read(
    place: Place, guest: Place, lab: Any, access: Access
) -> None:
    """SOGo as the old server: by RFC 3744 as any server, by its own question exactly, and its delegates."""
    place.owner._client.request("MKCALENDAR", place.calendar)
    acl.set_roles(place.owner, place.calendar, guest.account, {"PublicViewer", "PrivateDAndTViewer"})
    assert sharing.grants_by_acl(place.owner, place.calendar) == [sharing.Grant(guest.account, "read")]
    assert sharing.grants(place.owner, place.calendar) == [
        sharing.Grant(guest.account, "read", frozenset({"PublicViewer", "PrivateDAndTViewer"}))
    ]
    acl.set_roles(place.owner, place.calendar, guest.account, sharing.roles_for("calendar", sharing.Grant("x", "read")))
    acl.subscribe(guest.owner, place.calendar, wanted=True)
    assert guest.account in [each.who for each in sharing.delegates(place.owner, place.calendar)]

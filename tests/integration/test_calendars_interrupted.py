"""From Radicale to real SOGo, interrupted at every request in every way, and run again: always the same end.

One round is: something changes on old and on new, a pass with one fault, a pass without; then one more pass writes
nothing. Rounds follow one another in the same collections, with the fault at the next request, until a pass is over.
"""

import contextlib
import itertools
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import httpx
import pytest
from bascule.access import Access, AccessError
from bascule.calendars import meaning, servers, sharing, sync_account
from bascule.calendars.account import sync_shares
from bascule.ledger import Ledger, problems
from bascule.ledger.calendars import shares
from bascule.site import Site

from tests.dav_relay import Fault, Faults, relay
from tests.integration.test_calendars import Place, calendar, ledger, make_place, people, place

__all__ = ["ledger", "make_place", "people", "place"]

WRITES = {"PUT", "DELETE", "PROPPATCH", "MKCALENDAR", "MKCOL"}
PATIENCE = 4.0  # seconds that the client waits for an answer
FULL = os.environ.get("BASCULE_TEST_DEPTH") == "full"  # by default only every third request is answered too late
OWNER = "one task and its next tries"


@dataclass
class Interrupted:
    """An account of which one server is behind the relay."""

    access: Access
    ledger: Ledger
    place: Place
    faults: Faults

    def sync(self, kind: Fault | None = None, at: int = 0) -> None:
        self.faults.arm(kind, at)
        sync_account(self.access, self.ledger, self.place.account, owner=OWNER)


@pytest.fixture
def interrupted(
    lab: Any, ledger: Ledger, place: Place, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Interrupted]:
    side = getattr(request, "param", "new")
    monkeypatch.setattr("bascule.calendars.dav.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("bascule.calendars.servers.TIMEOUT", httpx.Timeout(PATIENCE))
    faults, trust = Faults(slowness=PATIENCE + 1), ssl.create_default_context(cafile=str(lab.instance.ca_certificate))
    with relay({"new": "https://sogo.obs.test:8443", "old": "https://web.obs.test:5232"}[side], trust, faults) as url:
        raw = lab.site.model_dump(mode="json")
        raw["calendars"]["rights"] = None
        if side == "old":
            raw["calendars"]["old"]["url"] = f"{url}/{{{{ account }}}}/"
        for key, folder in (("url", "Calendar"), ("contacts_url", "Contacts")) if side == "new" else ():
            raw["calendars"]["new"][key] = f"{url}/SOGo/dav/{{{{ account }}}}/{folder}/"
        access = lab.access(Site.model_validate(raw))
        yield Interrupted(access, ledger, place, faults)
        access.close()


def change(place: Place, number: int) -> None:
    """On old: one event changes, one goes, one comes, and a card changes. On new: the user changes another event."""
    place.put("changed.ics", calendar("changed", f"SUMMARY:Tour {number}"))
    place.put(f"come-{number}.ics", calendar(f"come-{number}", f"SUMMARY:Venu {number}"))
    if number:
        gone = f"/{place.account}/{place.name}/come-{number - 1}.ics"
        place.old.request("DELETE", gone).raise_for_status()
        etags = place.owner.etags(place.calendar)
        mine = f"{place.calendar}mine.ics"
        place.owner.put(mine, "calendar", calendar("mine", f"SUMMARY:À moi {number}"), if_match=etags[mine])
    card = f"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c\r\nFN:Zoé {number}\r\nN:Zoé;;;;\r\nEND:VCARD\r\n"
    place.put("c.vcf", card)


def expected(number: int) -> dict[str, str]:
    mine = calendar("mine", f"SUMMARY:À moi {number}" if number else "SUMMARY:À moi")
    return {
        "changed.ics": calendar("changed", f"SUMMARY:Tour {number}"),
        f"come-{number}.ics": calendar(f"come-{number}", f"SUMMARY:Venu {number}"),
        "mine.ics": mine,
    }


def check(interrupted: Interrupted, number: int) -> None:
    place, wanted = interrupted.place, expected(number)
    assert place.names() == set(wanted), interrupted.faults.kind
    assert [name for name, text in wanted.items() if not meaning.same(place.text(name), text, "Europe/Paris")] == []
    card = place.owner.get(f"{place.cards}c.vcf")
    assert card is not None
    assert f"FN:Zoé {number}" in card.text
    assert problems.problems(interrupted.ledger, account=place.account) == []


EACH = [("new", kind) for kind in get_args(Fault) if kind != "wrong etag"]
EACH += [("old", kind) for kind in ("gone", "busy", "broken", "slow")]


@pytest.mark.parametrize(("interrupted", "kind"), EACH, indirect=["interrupted"])
def test_the_end_is_the_same_whichever_request_it_meets(interrupted: Interrupted, kind: Fault) -> None:
    interrupted.place.put("mine.ics", calendar("mine", "SUMMARY:À moi"))
    change(interrupted.place, 0)
    interrupted.sync()
    step = 3 if kind == "slow" and not FULL else 1
    for number, at in enumerate(itertools.count(1, step), 1):
        change(interrupted.place, number)
        with contextlib.suppress(AccessError):
            interrupted.sync(kind, at=at)
        met = interrupted.faults.met
        interrupted.sync()
        check(interrupted, number)
        interrupted.sync()
        assert not WRITES & set(interrupted.faults.requests), (kind, number)
        if not met:
            break
    assert at > 5


def test_a_wrong_etag_in_an_answer_is_taken_for_the_users_change_and_nothing_is_overwritten(
    interrupted: Interrupted,
) -> None:
    interrupted.place.put("mine.ics", calendar("mine", "SUMMARY:À moi"))
    change(interrupted.place, 0)
    for number in itertools.count(1):
        interrupted.sync("wrong etag", at=number)
        if not interrupted.faults.met:
            break
        interrupted.sync()
        check(interrupted, 0)


@pytest.mark.parametrize("kind", ["gone", "gone after", "answer lost", "broken"])
def test_a_share_is_there_whichever_request_it_meets(
    interrupted: Interrupted, kind: Fault, people: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, guest = interrupted.place, people[-2].name
    interrupted.sync()
    said: list[sharing.Grant] = []
    monkeypatch.setattr(sharing, "grants", lambda session, href: said if href.endswith(f"/{place.name}/") else [])
    monkeypatch.setattr(sharing, "delegates", lambda session, href: [])

    def share(*grants: sharing.Grant, kind: Fault | None = None, at: int = 0) -> None:
        said[:] = grants
        interrupted.faults.arm(kind, at)
        sync_shares(interrupted.access, interrupted.ledger, [place.account], owner=OWNER)

    wanted = sharing.Grant(guest, "read")
    for number in itertools.count(1):
        with contextlib.suppress(AccessError):
            share(wanted, kind=kind, at=number)
        met = interrupted.faults.met
        share(wanted)
        with servers.opened(interrupted.access, interrupted.access.site.calendars.new, guest) as theirs:
            assert theirs.session.collection(f"{theirs.calendars}{place.account}_{place.name}/") is not None
        rows = shares(interrupted.ledger, place.account)
        assert [(row.who, row.state) for row in rows] == [(guest, "given")]
        share(wanted)
        assert interrupted.faults.requests == []
        share()
        if not met:
            break
    assert number > 5

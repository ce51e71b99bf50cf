"""From Radicale to real SOGo, interrupted at its requests in every way, and run again: always the same end.

One round is: something changes on old and on new, a pass with one fault, a pass without; then one more pass writes
nothing. Rounds follow one another in the same collections, with the fault at the next of the chosen requests.
"""

import contextlib
import itertools
import os
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import httpx
import pytest
from bascule.calendars import ical_compare, servers, sync_account
from bascule.calendars.shares import sharing
from bascule.calendars.sync import sync_shares
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger
from bascule.ledger.calendars import shares
from bascule.problems import store
from bascule.site import Site

from tests.dav_relay import Fault, Faults, relay
from tests.integration.test_calendars import Place, calendar, make_place, people, place

__all__ = ["make_place", "people", "place"]

WRITES = {"PUT", "DELETE", "PROPPATCH", "MKCALENDAR", "MKCOL"}
PATIENCE = 2.0  # seconds that the client waits for an answer which is to come too late
FULL = os.environ.get("BASCULE_TEST_DEPTH") == "full"  # by default not every request that only reads is interrupted
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
        with pytest.MonkeyPatch.context() as patched:
            if kind == "slow":
                patched.setattr(servers, "TIMEOUT", httpx.Timeout(PATIENCE))
            sync_account(self.access, self.ledger, self.place.account, owner=OWNER)


@pytest.fixture
def interrupted(
    lab: Any, ledger: Ledger, place: Place, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Interrupted]:
    side = getattr(request, "param", "new")
    monkeypatch.setattr("bascule.calendars.dav.http.FIRST_PAUSE", 0.01)
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
    assert [
        name for name, text in wanted.items() if not ical_compare.same(place.text(name), text, "Europe/Paris")
    ] == []
    card = place.owner.get(f"{place.cards}c.vcf")
    assert card is not None
    assert f"FN:Zoé {number}" in card.text
    assert store.problems(interrupted.ledger, account=place.account) == []


EACH = [("new", kind) for kind in get_args(Fault) if kind != "wrong etag"]
EACH += [("old", kind) for kind in ("gone", "busy", "broken", "slow")]


def chosen(kind: Fault, methods: Sequence[str]) -> list[int]:
    """The requests of a pass to interrupt: the first and the last, each that writes, what follows it, and some reads.

    Too late are the answers to every second of these if there are many; a condition stands only in what writes.
    """
    writes = {number for number, method in enumerate(methods, 1) if method in WRITES}
    if FULL:
        return list(range(1, len(methods) + 1))
    if kind == "wrong condition":
        return sorted(writes)
    last = len(methods)
    some = sorted({*range(1, last, 3), *writes, *(number + 1 for number in writes)} - {last})
    return [*(some[::2] if kind == "slow" and writes else some), last]


@pytest.mark.parametrize(("interrupted", "kind"), EACH, indirect=["interrupted"])
def test_the_end_is_the_same_whichever_request_it_meets(interrupted: Interrupted, kind: Fault) -> None:
    interrupted.place.put("mine.ics", calendar("mine", "SUMMARY:À moi"))
    for number in (0, 1):
        change(interrupted.place, number)
        interrupted.sync()
    for number, at in enumerate(chosen(kind, interrupted.faults.requests), 2):
        change(interrupted.place, number)
        with contextlib.suppress(AccessError):
            interrupted.sync(kind, at=at)
        assert interrupted.faults.met, f"a pass had fewer than {at} requests"
        interrupted.sync()
        check(interrupted, number)
        interrupted.sync()
        assert not WRITES & set(interrupted.faults.requests), (kind, number)
    assert number > 3


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

"""Interrupted at every request and run again, the end is the same as without, and one more run changes nothing."""

import contextlib
from typing import Any

import pytest
from bascule.calendars import Counts, ical_compare, sync_account
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger
from bascule.problems import store
from calendar_items import card, event

WRITES = {"PUT", "DELETE", "PROPPATCH", "MKCALENDAR", "MKCOL"}


class Interruption(Exception):
    """The process dies here."""


@pytest.fixture
def changed(servers: Any, access: Any, ledger: Ledger) -> Any:
    """A pass was made; since then items were added, changed and removed on old, and one was changed on new."""
    old, new = servers
    old.make("/zoe/agenda/", "calendar")
    old.make("/zoe/carnet/", "addressbook", "Carnet")
    new.make("/zoe/personal/", "calendar", "Personal")
    for number in range(3):
        old.put(f"/zoe/agenda/e{number}.ics", event(f"e{number}"))
    sync_account(access, ledger, "zoe", owner="a task and its next tries")
    old.put("/zoe/agenda/e0.ics", event("e0", "Reportée"))
    old.request("DELETE", "/zoe/agenda/e1.ics")
    new.put("/zoe/personal/e2.ics", event("e2", "The user's"))
    old.put("/zoe/agenda/e3.ics", event("e3"))
    old.put("/zoe/carnet/c1.vcf", card("c1"))
    return old, new


def contents(new: Any) -> dict[str, str]:
    return {
        path + name: new.get(path + name) for path in ("/zoe/personal/", "/zoe/carnet/") for name in new.names(path)
    }


EXPECTED = {
    "/zoe/personal/e0.ics": event("e0", "Reportée"),
    "/zoe/personal/e2.ics": event("e2", "The user's"),
    "/zoe/personal/e3.ics": event("e3"),
    "/zoe/carnet/c1.vcf": card("c1"),
}


def check_the_end(access: Any, ledger: Ledger, new: Any) -> None:
    sync_account(access, ledger, "zoe", owner="a task and its next tries")
    found = contents(new)
    assert found.keys() == EXPECTED.keys()
    assert [path for path in found if not ical_compare.same(found[path], EXPECTED[path])] == []
    assert store.problems(ledger) == []
    new.faults.requests.clear()
    assert sync_account(access, ledger, "zoe", owner="a task and its next tries") == Counts(
        collections=2, items=4, unchanged=4
    )
    assert not {method for method, _ in new.faults.requests} & WRITES


OTHER_FAULTS = {"cut": "cut", "busy": ("503 Busy", b""), "broken": ("500 Broken", b"")}


@pytest.mark.parametrize(
    ("fault", "number"),
    [("cut after", number) for number in range(1, 17)]
    + [(fault, number) for fault in OTHER_FAULTS.values() for number in (2, 5, 8, 11, 14)],
    ids=str,
)
def test_a_fault_at_each_request(access: Any, ledger: Ledger, changed: Any, number: int, fault: Any) -> None:
    """The request fails, and with it every further one of this pass, as when the server goes away."""
    _, new = changed
    new.faults.requests.clear()
    new.faults.plan = lambda method, path, count: (fault if count == number else "cut") if count >= number else None
    with contextlib.suppress(AccessError):
        sync_account(access, ledger, "zoe", owner="a task and its next tries")
    new.faults.plan = None
    check_the_end(access, ledger, new)


@pytest.mark.parametrize("number", range(1, 17))
def test_an_answer_lost_once_is_made_good_in_the_same_pass(
    access: Any, ledger: Ledger, changed: Any, number: int
) -> None:
    _, new = changed
    new.faults.requests.clear()
    new.faults.plan = lambda method, path, count: "cut after" if count == number else None
    sync_account(access, ledger, "zoe", owner="a task and its next tries")
    new.faults.plan = None
    check_the_end(access, ledger, new)


@pytest.mark.parametrize("number", range(1, 12))
def test_the_process_dies_at_each_write_to_the_ledger(
    access: Any, ledger: Ledger, changed: Any, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, new = changed
    count = 0
    session = ledger.session

    def dying() -> Any:
        nonlocal count
        count += 1
        if count >= number:
            raise Interruption
        return session()

    monkeypatch.setattr(ledger, "session", dying)
    with contextlib.suppress(Interruption):
        sync_account(access, ledger, "zoe", owner="a task and its next tries")
    monkeypatch.setattr(ledger, "session", session)
    check_the_end(access, ledger, new)

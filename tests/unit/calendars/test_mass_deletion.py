"""Most of a collection gone at once: nothing follows from it until a person has decided."""

import re
from pathlib import Path
from typing import Any

import pytest
from bascule.calendars import Counts, sync_account
from bascule.calendars.mass_deletion import FEW
from bascule.ledger import Ledger
from bascule.ledger.calendars import calendars
from bascule.problems import store
from bascule.problems.model import Action
from calendar_items import event
from deciding import open_problems
from test_folder import exported_to

from tests.deciding import decide

NAMES = [f"e{number}.ics" for number in range(FEW)]


@pytest.fixture
def carried(servers: Any, access: Any, ledger: Ledger) -> Any:
    old, new = servers
    old.make("/zoe/agenda/", "calendar")
    new.make("/zoe/personal/", "calendar", "Personal")
    for name in NAMES:
        old.put(f"/zoe/agenda/{name}", event(name))
    sync_account(access, ledger, "zoe")
    return old, new


def empty(server: Any, collection: str) -> None:
    for name in server.names(collection):
        server.request("DELETE", collection + name)


def check_rest(access: Any, ledger: Ledger) -> None:
    assert store.problems(ledger, states=("open", "decided")) == []
    again = sync_account(access, ledger, "zoe")
    assert (again.copied, again.updated, again.deleted, again.problems) == (0, 0, 0, 0)


@pytest.mark.parametrize(("action", "left"), [("keep_new", NAMES), ("remove", [])])
def test_a_calendar_emptied_on_old_is_asked_about(
    access: Any, ledger: Ledger, carried: Any, action: str, left: list[str]
) -> None:
    old, new = carried
    empty(old, "/zoe/agenda/")
    for _ in range(2):
        assert sync_account(access, ledger, "zoe").deleted == 0
        assert open_problems(ledger) == [("gone-from-old", "/zoe/agenda/")]
    assert new.names("/zoe/personal/") == NAMES
    assert store.problems(ledger)[0].proposal.action is Action.KEEP_NEW
    decide(ledger, action=action)
    sync_account(access, ledger, "zoe")
    assert new.names("/zoe/personal/") == left
    check_rest(access, ledger)


def test_what_comes_back_to_old_is_no_question_any_more(access: Any, ledger: Ledger, carried: Any) -> None:
    old, new = carried
    empty(old, "/zoe/agenda/")
    sync_account(access, ledger, "zoe")
    for name in NAMES:
        old.put(f"/zoe/agenda/{name}", event(name))
    sync_account(access, ledger, "zoe")
    assert new.names("/zoe/personal/") == NAMES
    check_rest(access, ledger)


@pytest.mark.parametrize(("action", "left"), [("carry_again", NAMES), ("keep_new", [])])
@pytest.mark.parametrize("with_its_collection", [True, False])
def test_a_calendar_emptied_on_new_is_noticed_though_nothing_changed_on_old(
    access: Any, ledger: Ledger, carried: Any, action: str, left: list[str], with_its_collection: bool
) -> None:
    _, new = carried
    if with_its_collection:
        new.request("DELETE", "/zoe/personal/")
    else:
        empty(new, "/zoe/personal/")
    for _ in range(2):
        assert sync_account(access, ledger, "zoe").problems == 1
        assert open_problems(ledger) == [("lost-on-new", "/zoe/agenda/")]
    decide(ledger, action=action)
    sync_account(access, ledger, "zoe")
    assert new.names("/zoe/personal/") == left
    check_rest(access, ledger)


def test_another_loss_than_the_one_decided_about_is_asked_anew(access: Any, ledger: Ledger, carried: Any) -> None:
    old, new = carried
    for name in NAMES:
        old.put(f"/zoe/agenda/more-{name}", event(f"more-{name}"))
    sync_account(access, ledger, "zoe")
    for name in (*NAMES, "more-e0.ics"):
        old.request("DELETE", f"/zoe/agenda/{name}")
    sync_account(access, ledger, "zoe")
    decide(ledger, action="remove")
    old.request("DELETE", "/zoe/agenda/more-e1.ics")
    sync_account(access, ledger, "zoe")
    assert open_problems(ledger) == [("gone-from-old", "/zoe/agenda/")]
    assert len(new.names("/zoe/personal/")) == 2 * FEW


def test_some_removed_of_many_are_removed_at_once(access: Any, ledger: Ledger, carried: Any) -> None:
    old, new = carried
    for name in NAMES[: FEW // 2]:
        old.request("DELETE", f"/zoe/agenda/{name}")
    assert sync_account(access, ledger, "zoe").deleted == FEW // 2
    assert new.names("/zoe/personal/") == NAMES[FEW // 2 :]


@pytest.fixture
def deleted(access: Any, carried: Any) -> Any:
    """The collection is gone from old; on new its owner has changed one event of it and added another."""
    old, new = carried
    new.put("/zoe/personal/e0.ics", event("e0.ics", summary="Changed"))
    new.put("/zoe/personal/own.ics", event("own", summary="Own"))
    old.request("DELETE", "/zoe/agenda/")
    return old, new


THEIRS = ["e0.ics", "own.ics"]


def test_a_collection_deleted_on_old_is_asked_about_and_its_owners_events_are_named(
    access: Any, ledger: Ledger, deleted: Any
) -> None:
    _, new = deleted
    for _ in range(2):
        assert sync_account(access, ledger, "zoe") == Counts(problems=1)
        assert open_problems(ledger) == [("deleted-on-old", "/zoe/agenda/")]
    found = store.problems(ledger)[0]
    assert re.search(r"stays in either case: Changed \(.*\), Own \(.*\)\.$", found.explanation)
    assert found.proposal.action is Action.KEEP_NEW
    assert new.names("/zoe/personal/") == [*NAMES, "own.ics"]


@pytest.mark.parametrize(("action", "left"), [("keep_new", [*NAMES, "own.ics"]), ("remove", THEIRS)])
def test_a_collection_deleted_on_old_is_followed_by_decision(
    access: Any, ledger: Ledger, deleted: Any, action: str, left: list[str]
) -> None:
    _, new = deleted
    sync_account(access, ledger, "zoe")
    decide(ledger, action=action)
    sync_account(access, ledger, "zoe")
    assert new.names("/zoe/personal/") == left
    check_rest(access, ledger)


def test_a_removal_that_was_interrupted_is_ended_by_the_next_pass(access: Any, ledger: Ledger, deleted: Any) -> None:
    _, new = deleted
    sync_account(access, ledger, "zoe")
    decide(ledger, action="remove")
    new.faults.plan = lambda method, path, _: ("403 No", b"") if path.endswith("/e5.ics") else None
    assert sync_account(access, ledger, "zoe").problems == 1
    assert open_problems(ledger) == [("collection", "/zoe/agenda/")]
    assert new.names("/zoe/personal/") == sorted([*THEIRS, "e5.ics"])
    new.faults.plan = None
    sync_account(access, ledger, "zoe")
    assert new.names("/zoe/personal/") == THEIRS
    check_rest(access, ledger)


def test_a_collection_that_comes_back_and_goes_again_is_asked_about_again(
    access: Any, ledger: Ledger, deleted: Any
) -> None:
    old, new = deleted
    sync_account(access, ledger, "zoe")
    decide(ledger, action="remove")
    sync_account(access, ledger, "zoe")
    old.make("/zoe/agenda/", "calendar")
    for name in NAMES[1:]:
        old.put(f"/zoe/agenda/{name}", event(name))
    sync_account(access, ledger, "zoe")
    assert new.names("/zoe/personal/") == sorted([*NAMES, "own.ics"])
    old.request("DELETE", "/zoe/agenda/")
    sync_account(access, ledger, "zoe")
    assert open_problems(ledger) == [("deleted-on-old", "/zoe/agenda/")]


def test_a_calendar_emptied_on_new_twice_is_asked_about_twice(access: Any, ledger: Ledger, carried: Any) -> None:
    _, new = carried
    for _ in range(2):
        empty(new, "/zoe/personal/")
        sync_account(access, ledger, "zoe")
        assert open_problems(ledger) == [("lost-on-new", "/zoe/agenda/")]
        decide(ledger, action="carry_again")
        sync_account(access, ledger, "zoe")
        assert new.names("/zoe/personal/") == NAMES


def test_a_collection_that_is_gone_from_both_is_forgotten(access: Any, ledger: Ledger, carried: Any) -> None:
    old, new = carried
    for server, path in ((old, "/zoe/agenda/"), (new, "/zoe/personal/")):
        server.request("DELETE", path)
    assert sync_account(access, ledger, "zoe") == Counts()
    assert calendars(ledger, "zoe") == []


def test_a_deleted_collection_in_which_nothing_is_bascules_is_no_question(
    access: Any, ledger: Ledger, servers: Any
) -> None:
    old, new = servers
    old.make("/zoe/agenda/", "calendar")
    new.make("/zoe/personal/", "calendar", "Personal")
    sync_account(access, ledger, "zoe")
    new.put("/zoe/personal/own.ics", event("own"))
    old.request("DELETE", "/zoe/agenda/")
    assert sync_account(access, ledger, "zoe") == Counts()
    assert new.names("/zoe/personal/") == ["own.ics"]


def test_half_an_export_removes_nothing(access: Any, ledger: Ledger, servers: Any, tmp_path: Path) -> None:
    parts = [event(f"e{number}") for number in range(FEW + 2)]
    inner = "".join(part.split("PRODID:-//test//\r\n")[1].removesuffix("END:VCALENDAR\r\n") for part in parts)
    whole = f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{inner}END:VCALENDAR\r\n"
    there = exported_to(access, servers, tmp_path / "export")
    (there.folder / "agenda.ics").write_text(whole, newline="")
    assert sync_account(there, ledger, "zoe").copied == FEW + 2
    (there.folder / "agenda.ics").write_text(whole[:200], newline="")
    sync_account(there, ledger, "zoe")
    assert open_problems(ledger) == [("file", "agenda.ics")]  # and the one that is cut
    assert len(servers[1].names("/zoe/personal/")) == FEW + 2

"""Most of a collection gone at once: nothing follows from it until a person has decided."""

from pathlib import Path
from typing import Any

import pytest
from bascule.calendars import Counts, sync_account
from bascule.calendars.losses import FEW
from bascule.ledger import Ledger, problems
from bascule.ledger.problems import Option
from calendar_items import event
from deciding import decide, open_problems
from test_folder import exported_to

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
    assert problems.problems(ledger, states=("open", "decided")) == []
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
    assert problems.problems(ledger)[0].details["choices"] == ["keep_new", "remove"]
    decide(ledger, Option.APPLY, action=action)
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
    decide(ledger, Option.APPLY, action=action)
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
    decide(ledger, Option.APPLY, action="remove")
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


def test_a_collection_that_is_gone_from_old_stays_on_new(access: Any, ledger: Ledger, carried: Any) -> None:
    old, new = carried
    old.request("DELETE", "/zoe/agenda/")
    assert sync_account(access, ledger, "zoe") == Counts()
    assert new.names("/zoe/personal/") == NAMES


def test_half_an_export_removes_nothing(access: Any, ledger: Ledger, servers: Any, tmp_path: Path) -> None:
    parts = [event(f"e{number}") for number in range(FEW + 2)]
    inner = "".join(part.split("PRODID:-//test//\r\n")[1].removesuffix("END:VCALENDAR\r\n") for part in parts)
    whole = f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{inner}END:VCALENDAR\r\n"
    there = exported_to(access, servers, tmp_path / "export")
    (there.folder / "agenda.ics").write_text(whole, newline="")
    assert sync_account(there, ledger, "zoe").copied == FEW + 2
    (there.folder / "agenda.ics").write_text(whole[:200], newline="")
    sync_account(there, ledger, "zoe")
    assert [kind for kind, _ in open_problems(ledger)] == ["gone-from-old", "unreadable"]  # and the one that is cut
    assert len(servers[1].names("/zoe/personal/")) == FEW + 2

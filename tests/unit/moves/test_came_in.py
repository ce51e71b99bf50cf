"""What the journal says of who came in before the last pass had ended: also of a pass that was tried again."""

import time
from typing import Any

import pytest
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger
from bascule.ledger.moves import Server
from bascule.moves import kept_out
from bascule.moves.acts import SiteActs

from tests.unit.changes.fakes import FakeAccess


@pytest.fixture
def moving(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> SiteActs:
    """An account whose logins were let in just now, with one session at the proxies until it is sent out."""
    monkeypatch.setattr(kept_out, "LOOK_EVERY", 0.01)
    made, inside = SiteActs(FakeAccess(), ledger, "zoe", "task"), [1]
    made._delayed_until = time.time() - 0.1
    monkeypatch.setattr(made.entry, "delay", lambda until: None)
    monkeypatch.setattr(made.mail, "wait_until_quiet", lambda to: 0.0)
    monkeypatch.setattr(made.sessions, "on", lambda server: 0)
    monkeypatch.setattr(made.sessions, "led", lambda: inside[0])
    monkeypatch.setattr(made.sessions, "send_out", lambda: inside.__setitem__(0, 0))
    return made


def passes(monkeypatch: pytest.MonkeyPatch, moving: SiteActs, *failing: bool) -> None:
    left = iter(failing)

    def one(to: Server) -> dict[str, Any]:
        time.sleep(0.2)
        if next(left):
            raise AccessError("old can't be reached")
        return {"copied": 1}

    monkeypatch.setattr(moving, "_pass", one)


def test_who_came_in_is_told(moving: SiteActs, monkeypatch: pytest.MonkeyPatch) -> None:
    passes(monkeypatch, moving, False)
    done = moving.carry("new")
    assert (done["copied"], done["came_in"]) == (1, 1)
    assert done["kept_out_longer"] > 0


def test_who_came_in_while_a_pass_went_on_that_failed_is_told_after_the_next_one(
    moving: SiteActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes(monkeypatch, moving, True, False)
    with pytest.raises(AccessError):
        moving.carry("new")
    assert moving.carry("new")["came_in"] == 1


def test_where_nobody_came_in_nothing_is_said_of_it(moving: SiteActs, monkeypatch: pytest.MonkeyPatch) -> None:
    moving._delayed_until = time.time() + 60
    passes(monkeypatch, moving, False)
    assert moving.carry("new") == {"copied": 1, "kept_out_longer": 0.0}


def test_for_how_long_nothing_kept_logins_waiting_is_told_although_nobody_was_seen(
    moving: SiteActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(until: float) -> None:
        raise AccessError("the directory can't be reached")

    monkeypatch.setattr(moving.sessions, "led", lambda: 0)
    monkeypatch.setattr(moving.entry, "delay", away)
    passes(monkeypatch, moving, False)
    done = moving.carry("new")
    assert done["open_for"] >= 0.3
    assert "came_in" not in done

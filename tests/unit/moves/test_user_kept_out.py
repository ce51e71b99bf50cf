"""From the kick until the last pass has ended the user is kept out, however long a server takes to answer."""

import time
from typing import Any

import pytest
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger
from bascule.ledger.moves import Server
from bascule.moves import acts, kept_out
from bascule.moves.acts import SiteActs

from tests.unit.changes.fakes import FakeAccess


class FakeEntry:
    """Writes down the instants until which logins are delayed."""

    def __init__(self, real: acts.Entry) -> None:
        self.part = real.part.model_copy(update={"delay_seconds": 1})
        self.instants: list[int] = []

    def flip(self, to: Server, until: int) -> None:
        self.instants.append(until)

    def delay(self, until: int) -> None:
        self.instants.append(until)


class FakeSessions:
    """Proxies of which one hangs in the kick until it is told to be `free`."""

    def __init__(self, entry: FakeEntry, *, fails: bool = False) -> None:
        self.entry, self.fails, self.sent_out = entry, fails, 0

    def kick(self, to: Server) -> None:
        deadline = time.monotonic() + 20
        while len(self.entry.instants) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        if self.fails:
            raise AccessError("proxy: the SSH connection broke: timed out")

    def led(self) -> int:
        return 0

    def send_out(self) -> None:
        self.sent_out += 1

    def on(self, server: Server) -> int:
        return 0


@pytest.fixture
def made(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> SiteActs:
    """An account right after its flip."""
    monkeypatch.setattr(kept_out, "LOOK_EVERY", 0.02)
    site = SiteActs(FakeAccess(), ledger, "zoe", "task")
    entry: Any = FakeEntry(site.entry)
    monkeypatch.setattr(site, "entry", entry)
    monkeypatch.setattr(site, "sessions", FakeSessions(entry))
    monkeypatch.setattr(site, "_passes", lambda to: {"copied": 0})
    site.flip("new")
    return site


def test_the_instant_is_put_off_while_a_proxy_hangs_in_the_kick(made: SiteActs) -> None:
    entry: Any = made.entry
    try:
        made.kick("new")
        assert len(entry.instants) >= 2
    finally:
        made.let_in()


def test_it_is_put_off_no_more_once_the_last_pass_has_ended(made: SiteActs) -> None:
    made.kick("new")
    done = made.carry("new")
    entry: Any = made.entry
    written = len(entry.instants)
    assert done["kept_out_longer"] == entry.instants[-1] - entry.instants[0]
    time.sleep(0.2)
    assert len(entry.instants) == written


def test_nor_after_the_move_has_turned_and_was_flipped_back(made: SiteActs) -> None:
    """The other flip says its own instant."""
    entry: Any = made.entry
    made.sessions.fails = True  # type: ignore[attr-defined]
    with pytest.raises(AccessError):
        made.kick("new")
    made.flip("old")
    written = len(entry.instants)
    time.sleep(0.2)
    assert len(entry.instants) == written

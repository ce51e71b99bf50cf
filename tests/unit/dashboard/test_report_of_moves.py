"""The final report of a site whose accounts move one by one: waves, holds, outages, who is back, what failed."""

import json
from datetime import datetime, timedelta

import pytest
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger, journal, moves, waves
from bascule.ledger.base import now
from bascule.ledger.waves import Planned
from bascule.moves.machine import Limits, MoveFailed, Mover
from bascule.site import Site
from bascule.views import moves as view
from bascule.views import report

from tests.unit.dashboard.reading import Read
from tests.unit.moves.fake_site import FakeActs, FakeSite

ORIGIN = journal.Origin("move", "run-1", "account.move[0]", "anna")
NINE = datetime(2037, 12, 1, 8)


def move(ledger: Ledger, account: str, acts: FakeActs, to: moves.Server = "new") -> None:
    Mover(acts, ledger, ORIGIN, Limits(8, 120), lambda: None).move(account, to, lambda: None)


class Slow(FakeActs):
    """Logins are let in three seconds after the flip."""

    def flip(self, to: moves.Server) -> float:
        super().flip(to)
        return (now() - datetime(1970, 1, 1)).total_seconds() + 3.0


@pytest.fixture
def moved(ledger: Ledger) -> Ledger:
    waves.replace(ledger, [Planned("anna", "one", NINE), Planned("bert", "one", NINE), Planned("carl", "two", NINE)])
    acts = Slow(FakeSite())
    move(ledger, "anna", acts)
    failing = Slow(FakeSite())
    failing.fail["carry"] = AccessError("mx <b>can't</b> be reached")
    with pytest.raises(MoveFailed):
        move(ledger, "bert", failing)
    move(ledger, "anna", acts, "old")
    move(ledger, "zoe", Slow(FakeSite()))
    moves.hold(ledger, moves.begin(ledger, "carl", "new", {}, "r"), at_once=8, until=now() + timedelta(seconds=9))
    return ledger


def test_a_move_is_told_with_the_wave_in_which_it_began_whatever_is_planned_since(moved: Ledger) -> None:
    waves.replace(moved, [Planned("bert", "three", NINE)])
    assert [(each.account, each.wave) for each in view.told(moved)] == [
        ("anna", "one"), ("bert", "one"), ("anna", "one"), ("zoe", ""), ("carl", ""),
    ]  # fmt: skip


def test_every_move_is_told_with_its_wave_its_seconds_and_its_end(moved: Ledger) -> None:
    found = view.told(moved)
    assert [(each.account, each.wave, each.to, each.state) for each in found] == [
        ("anna", "one", "new", "moved"), ("bert", "one", "new", "not moved"), ("anna", "one", "old", "moved back"),
        ("zoe", "", "new", "moved"), ("carl", "two", "new", "being moved"),
    ]  # fmt: skip
    assert [each.out for each in found if each.state in ("moved", "moved back")] == [pytest.approx(3, abs=0.3)] * 3
    assert all(each.held is not None for each in found[:4])
    assert (found[4].held, found[4].out, found[4].ended) == (None, None, None)
    assert found[1].why == "mx <b>can't</b> be reached"
    assert [*found[1].failures] == ["7. carrying: mx <b>can't</b> be reached"]
    assert found[1].out == pytest.approx(3, abs=0.5), "until it was let in on old again, not until the first flip's end"


def test_waves_come_in_the_order_in_which_they_began(moved: Ledger) -> None:
    found = view.by_wave(moved, view.told(moved))
    assert [(wave.name, wave.starts_at, dict(wave.counts)) for wave in found] == [
        ("one", NINE, {"moved": 1, "not moved": 1, "moved back": 1}), ("", None, {"moved": 1}),
        ("two", NINE, {"being moved": 1}),
    ]  # fmt: skip
    assert len(found[0].held) == len(found[0].out) == 3


def test_the_report_shows_them_and_its_data_has_them(moved: Ledger, site: Site) -> None:
    found = report.gather(moved, site.model_copy(update={"languages": ["en", "fr"]}))
    html = report.as_html(found)
    text = Read(html).text
    assert "Accounts that moved on their own" in text and "Comptes déplacés un par un" in text
    assert "mx <b>can't</b> be reached" in text and "<b>can't</b>" not in html
    assert "In no wave" in text
    data = json.loads(report.as_json(found))["moves"]
    assert [(each["account"], each["state"]) for each in data][:2] == [("anna", "moved"), ("bert", "not moved")]
    assert data[0]["held"] >= 0 and data[0]["ended"].endswith("Z")


def test_in_sentences_whoever_is_not_on_new_is_named(moved: Ledger) -> None:
    lines = view.lines(view.told(moved))
    assert lines[0] == "moves of single accounts: 2 moved, 1 not moved, 1 moved back, 1 being moved"
    assert lines[2].startswith("logins were held back for 3.")
    assert "bert: not moved: mx <b>can't</b> be reached" in lines
    assert "anna: moved back" in lines and "carl: being moved" in lines


def test_a_site_without_moves_has_no_such_part(ledger: Ledger, site: Site) -> None:
    found = report.gather(ledger, site)
    assert "Comptes déplacés un par un" not in report.as_html(found)
    assert view.lines(found.moves) == []

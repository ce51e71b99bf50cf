"""For how long logins are held back at the flip: by what acts and passes have just taken."""

import itertools
import time

import pytest
from bascule.hosts.access import Access
from bascule.ledger import Ledger
from bascule.ledger.moves import Server
from bascule.moves import acts
from bascule.moves.acts import LONGEST_DELAY, SiteActs

from tests.unit.changes.fakes import FakeAccess

BEFORE_IT = 999.5
FLIPPED = 999.8


class FakeMail:
    """Each act takes the seconds that the clock is moved by."""

    def __init__(self, look: float) -> None:
        self.look = look

    def hold(self) -> None: ...

    def wait_until_quiet(self, to: Server) -> float:
        return self.look


class FakeEntry:
    """Takes every modify, and knows when."""

    def __init__(self, real: acts.Entry) -> None:
        self.part = real.part
        self.flipped_at = 0.0

    def flip(self, to: Server, until: int) -> None:
        self.flipped_at = time.time()


def moving(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, *, hold: float, look: float, last_pass: float, access: Access
) -> SiteActs:
    """An account before its flip."""
    made = SiteActs(access, ledger, "zoe", "task")
    monkeypatch.setattr(made, "entry", FakeEntry(made.entry))
    monkeypatch.setattr(made, "mail", FakeMail(look))
    clock = [BEFORE_IT]
    monkeypatch.setattr(acts.time, "time", lambda: clock[0])
    monkeypatch.setattr(acts.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    ticks = itertools.count(0.0, hold)
    monkeypatch.setattr(acts.time, "monotonic", lambda: next(ticks))
    made.hold()
    made.wait_until_quiet("new")
    made.pass_seconds = last_pass
    return made


@pytest.mark.parametrize(
    ("hold", "look", "last_pass", "until"),
    [
        (0.2, 0.05, 0.2, 1001),  # 0.7 s, and the site file says one at least
        (0.3, 0.1, 1.2, 1002),  # 1.6 s
        (0.4, 0.2, 3.0, 1003),  # 3.1 s
        (2.0, 0.5, 6.0, 1009),  # 9 s
        (9.0, 5.0, 60.0, 1000 + LONGEST_DELAY),
    ],
)
def test_they_are_held_back_for_longer_where_acts_take_longer(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, hold: float, look: float, last_pass: float, until: float
) -> None:
    made = moving(ledger, monkeypatch, hold=hold, look=look, last_pass=last_pass, access=FakeAccess())
    assert made.flip("new") == until


def test_the_flip_is_right_before_a_whole_second_since_the_proxies_count_in_those(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = moving(ledger, monkeypatch, hold=0.3, look=0.1, last_pass=1.2, access=FakeAccess())
    made.flip("new")
    assert isinstance(made.entry, FakeEntry)
    assert made.entry.flipped_at == pytest.approx(FLIPPED)

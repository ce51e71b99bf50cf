"""The arithmetic of what one pass may use of the rates that all tasks share."""

import time

import pytest
from bascule.mailbox.throttle import AHEAD, Pace, Rate


class Schedule:
    """Reservations one after the other, as the ledger keeps them."""

    def __init__(self) -> None:
        self.reserved: list[float] = []

    def __call__(self, seconds: float) -> float:
        before = sum(self.reserved)
        self.reserved.append(seconds)
        return before


def test_one_reservation_serves_many_messages() -> None:
    schedule = Schedule()
    rate = Rate(1000, schedule)
    for _ in range(int(1000 * AHEAD)):
        rate.take(1)
    assert schedule.reserved == [AHEAD]


def test_what_is_used_is_what_was_reserved() -> None:
    schedule = Schedule()
    rate = Rate(1000, schedule)
    for amount in (1, 700, 3, 20_000, 250, 1, 1, 999):
        rate.take(amount)
    used = sum((1, 700, 3, 20_000, 250, 1, 1, 999)) / 1000
    assert used <= sum(schedule.reserved) <= used + AHEAD


def test_who_comes_later_waits_for_what_was_reserved_before() -> None:
    schedule = Schedule()
    first, second = Rate(100, schedule), Rate(100, schedule)
    assert first.take(100) <= time.monotonic()
    began = time.monotonic()
    instant = second.take(100)
    assert began + 1.0 <= instant <= time.monotonic() + 1.0


def test_the_slowest_of_all_limits_decides() -> None:
    messages, octets = Schedule(), Schedule()
    pace = Pace([Rate(1_000_000, messages)], [Rate(1_000_000, octets), Rate(2_000_000, octets)])
    began = time.monotonic()
    pace.wait(octets=100_000)
    assert time.monotonic() - began >= AHEAD
    assert messages.reserved == []


def test_without_limits_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    Pace([], []).wait(messages=10**9, octets=10**15)
    assert slept == []

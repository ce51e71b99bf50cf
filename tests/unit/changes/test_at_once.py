"""Two runs of the same change at once, as when a queue gives a task out again: one acts, the other one waits for it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from bascule.changes import base
from bascule.changes.address import ServiceAddress
from bascule.changes.base import Change, Outcome
from bascule.ledger import Ledger, journal, leases
from bascule.ledger.base import now

from tests.unit.changes.fakes import FakeAccess, Switch
from tests.unit.changes.test_address import Network
from tests.unit.changes.test_base import events

ORIGIN = journal.Origin("cutover", "run 1", "take_imap_address", "postmaster")
SECONDS = 30  # at most, for what comes at once


@pytest.fixture
def second_waits(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set as soon as somebody was told that another one holds a lease."""
    told, take = threading.Event(), leases._take

    def taking(*arguments: Any) -> None:
        try:
            take(*arguments)
        except leases.LeaseHeld:
            told.set()
            raise

    monkeypatch.setattr(leases, "_take", taking)
    monkeypatch.setattr(leases, "ASK_AGAIN_SECONDS", 0.01)
    return told


@pytest.fixture
def ledgers(ledger: Ledger) -> Iterator[list[Ledger]]:
    """The same ledger, opened by two processes."""
    other = Ledger(ledger.url)
    yield [ledger, other]
    other.engine.dispose()


def slowed(change: Change, name: str, until: threading.Event, begun: threading.Event) -> Change:
    """The change, which is in the middle of this step until the event is set."""
    step = getattr(change, name)

    def slow(*arguments: Any) -> Any:
        begun.set()
        assert until.wait(SECONDS)
        return step(*arguments)

    setattr(change, name, slow)
    return change


def at_once(first: Callable[[], Any], begun: threading.Event, second: Callable[[], Any]) -> tuple[Any, Any]:
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(first)
        assert begun.wait(SECONDS)
        other = pool.submit(second)
        return one.result(SECONDS), other.result(SECONDS)


@pytest.mark.parametrize("step", ["apply", "verify"])
def test_an_address_that_is_taken_twice_at_once_is_taken_once(
    ledgers: list[Ledger], second_waits: threading.Event, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    access, begun = FakeAccess(), threading.Event()
    network = Network(access, "old")
    monkeypatch.setattr(ServiceAddress, "verify", lambda self: None)
    first, second = slowed(ServiceAddress(access, "pop"), step, second_waits, begun), ServiceAddress(access, "pop")
    done = at_once(lambda: base.run(first, ledgers[0], ORIGIN), begun, lambda: base.run(second, ledgers[1], ORIGIN))
    assert [result.outcome for result in done] == [Outcome.DONE, Outcome.UNCHANGED]
    assert network.holders == {"new"}
    taken = [line for line in access.remote("new").commands if line.startswith("ip address replace")]
    assert len(taken) == 1
    assert events(ledgers[0]) == ["intent", "done", "unchanged"]


def test_what_is_undone_waits_until_it_has_been_done(ledgers: list[Ledger], second_waits: threading.Event) -> None:
    world, begun = {"switch": "off"}, threading.Event()
    first = slowed(Switch(FakeAccess(), world), "apply", second_waits, begun)
    at_once(
        lambda: base.run(first, ledgers[0], ORIGIN), begun,
        lambda: base.undo(Switch(FakeAccess(), world), {"value": "off"}, ledgers[1], ORIGIN),
    )  # fmt: skip
    assert world == {"switch": "off"}
    assert events(ledgers[0]) == ["intent", "done", "reverted"]


def test_who_comes_second_says_who_is_at_it_when_the_first_one_takes_long(
    ledgers: list[Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "PATIENCE", 0)
    world = {"switch": "off", "other": "off"}
    with base._alone(Switch(FakeAccess(), world), ledgers[0], ORIGIN):
        with pytest.raises(leases.LeaseHeld, match=r"the change of switch is .* by cutover/run 1/take_imap_address"):
            base.run(Switch(FakeAccess(), world), ledgers[1], ORIGIN)
        assert base.run(Switch(FakeAccess(), world), ledgers[1], ORIGIN, dry_run=True).outcome == Outcome.WOULD_CHANGE
        assert base.run(Switch(FakeAccess(), world, name="other"), ledgers[1], ORIGIN).outcome == Outcome.DONE
    assert world == {"switch": "off", "other": "on"}
    assert events(ledgers[0]) == ["intent", "done"]


def test_a_worker_that_is_gone_keeps_nobody_waiting_longer_than_its_lease(ledger: Ledger) -> None:
    """It died on another machine in the middle of the act: the next try goes on with it."""
    world = {"switch": "off"}
    change = Switch(FakeAccess(), world)
    change.crash_in_apply = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        base.run(change, ledger, ORIGIN)
    gone = leases.LeaseRow(account="change/switch", owner="1 of process 1 on elsewhere", expires_at=now())
    with ledger.session() as session:
        session.add(gone)
    assert base.PATIENCE >= leases.LEASE_SECONDS
    assert base.run(Switch(FakeAccess(), world), ledger, ORIGIN).before == {"value": "off"}
    assert events(ledger) == ["intent", "intent", "done"]
    with ledger.reading() as session:
        assert session.scalars(sa.select(leases.LeaseRow)).all() == []


def test_a_subject_may_be_long(ledger: Ledger) -> None:
    world = {"x" * 5000: "off"}
    assert base.run(Switch(FakeAccess(), world, name="x" * 5000), ledger, ORIGIN).outcome == Outcome.DONE

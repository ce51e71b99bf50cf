"""Many accounts at once."""

from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from bascule.calendars import CalendarsFailed, Counts, sync_accounts
from bascule.calendars import sync as account
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (AccessError("no answer"), "no answer"),
        (RuntimeError("a mistake"), r"a mistake in Bascule \(a mistake\): report it"),
    ],
)
def test_one_account_that_fails_holds_back_no_other(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, trouble: Exception, said: str
) -> None:
    done = []

    def sync(access: Any, ledger: Ledger, name: str, **_: Any) -> Counts:
        if name == "bad":
            raise trouble
        done.append(name)
        return Counts(items=1)

    shared: list[list[str]] = []
    monkeypatch.setattr(account, "sync_account", sync)
    monkeypatch.setattr(account, "sync_shares", lambda access, ledger, names, **_: shared.append(names))
    monkeypatch.setattr(account, "set_preferences", lambda access, ledger, names, **_: shared.append(names))
    with pytest.raises(CalendarsFailed, match=f"1 of 3 account.*\\n  bad: {said}") as raised:
        sync_accounts(SimpleNamespace(), ledger, ["a", "bad", "z"], parallel=2)  # type: ignore[arg-type]
    assert sorted(done) == sorted(raised.value.done) == ["a", "z"]
    assert shared == [["a", "z"], ["a", "bad", "z"]]


def test_the_log_tells_how_far_it_is(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "sync_account", lambda *_, **__: Counts(items=1))
    monkeypatch.setattr(account, "sync_shares", lambda *_, **__: None)
    monkeypatch.setattr(account, "set_preferences", lambda *_, **__: 0)
    with structlog.testing.capture_logs() as lines:
        sync_accounts(SimpleNamespace(), ledger, ["a", "b", "c"], parallel=2)  # type: ignore[arg-type]
    told = [(line["done"], line["of"]) for line in lines if line["event"] == "calendars: progress"]
    assert told == [(1, 3), (2, 3), (3, 3)]

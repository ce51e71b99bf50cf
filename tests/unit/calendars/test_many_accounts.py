"""Many accounts at once."""

from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from bascule.access import AccessError
from bascule.calendars import CalendarsFailed, Counts, account, sync_accounts
from bascule.ledger import Ledger


@pytest.mark.parametrize("trouble", [AccessError("no answer"), RuntimeError("a mistake")])
def test_one_account_that_fails_holds_back_no_other(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    done = []

    def sync(access: Any, ledger: Ledger, name: str, *, dry_run: bool, owner: str) -> Counts:
        if name == "bad":
            raise trouble
        done.append(name)
        return Counts(items=1)

    shared: list[list[str]] = []
    monkeypatch.setattr(account, "sync_account", sync)
    monkeypatch.setattr(account, "sync_shares", lambda access, ledger, names, **_: shared.append(names))
    with pytest.raises(CalendarsFailed, match=f"1 of 3 account.*\\n  bad: .*{trouble}"):
        sync_accounts(SimpleNamespace(), ledger, ["a", "bad", "z"], parallel=2)  # type: ignore[arg-type]
    assert sorted(done) == ["a", "z"]
    assert shared == [["a", "z"]]


def test_the_log_tells_how_far_it_is(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "sync_account", lambda *_, **__: Counts(items=1))
    monkeypatch.setattr(account, "sync_shares", lambda *_, **__: None)
    monkeypatch.setattr(account, "set_preferences", lambda *_, **__: 0)
    with structlog.testing.capture_logs() as lines:
        sync_accounts(SimpleNamespace(), ledger, ["a", "b", "c"], parallel=2)  # type: ignore[arg-type]
    told = [(line["done"], line["of"]) for line in lines if line["event"] == "calendars: progress"]
    assert told == [(1, 3), (2, 3), (3, 3)]

"""Many accounts at once."""

from types import SimpleNamespace
from typing import Any

import pytest
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

    monkeypatch.setattr(account, "sync_account", sync)
    with pytest.raises(CalendarsFailed, match=f"1 of 3 account.*\\n  bad: .*{trouble}"):
        sync_accounts(SimpleNamespace(), ledger, ["a", "bad", "z"], parallel=2)  # type: ignore[arg-type]
    assert sorted(done) == ["a", "z"]

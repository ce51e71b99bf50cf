"""With whom an account that can't be reached is compared."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bascule import mailbox
from bascule.hosts.login import NoPassword
from bascule.ledger import Ledger, mailboxes
from bascule.tasks import unreachable


def test_an_account_without_a_password_is_none_to_compare_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with ledger.session() as session:
        for name in ("anna", "bert", "carl"):
            values = {"folders": 1, "messages": 1, "octets": 1, "problems": 0, "seconds": 1.0, "verified": True}
            mailboxes.finish_mailbox(session, name, "verified", **values)  # type: ignore[arg-type]

    def job_for(access: Any, account: str) -> Any:
        if account == "bert":
            raise NoPassword("the connection `imap_new` has no password for bert in `passwords`: add it there")
        return SimpleNamespace(old=f"{account} on old", new=f"{account} on new")

    monkeypatch.setattr(mailbox, "job_for", job_for)
    run: Any = SimpleNamespace(ledger=ledger, access=None)
    assert [*unreachable._others(run, "anna", "old")] == [("carl", "carl on old")]

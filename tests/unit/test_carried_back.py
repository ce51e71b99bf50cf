"""What the rollback's task of one mailbox says of what it could not do on old."""

from types import SimpleNamespace

import pytest
from bascule.ledger import Ledger, journal
from bascule.mailbox.carry_back import NOT_RAISED, CarriedBack
from bascule.tasks import mailbox
from bascule.tasks.run import Run

from tests.unit.changes.fakes import SITE, FakeAccess

ORIGIN = journal.Origin("rollback", "run-1", "mailbox.carry_back", "anna")


@pytest.mark.parametrize("folders", [{}, {"INBOX": "from old: doveconf: No such file"}], ids=["all raised", "not"])
def test_folders_in_which_programs_may_miss_changes_on_old_stand_in_the_journal_and_hold_nothing_up(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, folders: dict[str, str]
) -> None:
    monkeypatch.setattr(mailbox.mailbox, "job_for", lambda _, account: SimpleNamespace(account=account))
    monkeypatch.setattr(mailbox, "engine_carry_back", lambda *_, **__: CarriedBack(copied=2, not_raised=folders))
    assert mailbox.carry_back(Run(SITE, FakeAccess(), ledger, ORIGIN), "bert")["copied"] == 2
    noted = [(entry.subject, entry.after, entry.note) for entry in journal.entries(ledger, kind="UIDs")]
    assert noted == ([("bert", folders, NOT_RAISED)] if folders else [])

"""What the rollback's task of one mailbox says of what it could not do on old."""

from types import SimpleNamespace
from typing import cast

import pytest
from bascule.ledger import Ledger, journal
from bascule.mailbox.carry_back import MIXED_UP, NOT_RAISED, CarriedBack
from bascule.mailbox.doveadm import CannotCommand, Doveadm
from bascule.mailbox.imap.server import Server
from bascule.mailbox.workers import Sessions
from bascule.tasks import mailbox
from bascule.tasks.run import Run

from tests.unit.changes.fakes import SITE, FakeAccess

ORIGIN = journal.Origin("rollback", "run-1", "mailbox.carry_back", "anna")


@pytest.mark.parametrize("folders", [{}, {"INBOX": "from old: doveconf: No such file"}], ids=["all raised", "not"])
def test_folders_in_which_programs_may_miss_changes_on_old_stand_in_the_journal_and_hold_nothing_up(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, folders: dict[str, str]
) -> None:
    monkeypatch.setattr(mailbox.mailbox, "job_for", lambda _, account: SimpleNamespace(account=account))
    done = CarriedBack(copied=2, not_raised=folders, mixed_up=folders)
    monkeypatch.setattr(mailbox, "engine_carry_back", lambda *_, **__: done)
    assert mailbox.carry_back(Run(SITE, FakeAccess(), ledger, ORIGIN), "bert")["copied"] == 2
    noted = [(entry.subject, entry.after, entry.note) for entry in journal.entries(ledger, kind="UIDs")]
    assert noted == ([("bert", folders, note) for note in (NOT_RAISED, MIXED_UP)] if folders else [])


def test_a_host_that_takes_no_commands_is_not_asked_for_each_folder() -> None:
    asked = []

    def refuse() -> Doveadm:
        asked.append("once")
        raise CannotCommand("from old: doveconf: No such file")

    nowhere = cast(Server, None)
    sessions = Sessions(nowhere, nowhere, refuse)
    for _ in range(3):
        with pytest.raises(CannotCommand, match="doveconf"):
            assert sessions.doveadm
    assert asked == ["once"]

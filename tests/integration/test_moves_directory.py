"""What becomes of a move whose hold, or whose account's entry, is taken out of the directory meanwhile."""

from collections.abc import Iterator
from typing import Any

import pytest
from bascule.hosts import directory
from bascule.hosts.access import Access
from bascule.hosts.postfix import queue
from bascule.ledger import Ledger, journal, moves
from bascule.ledger.moves import State
from bascule.moves.entry import Entry
from bascule.moves.machine import HoldGone
from bascule.tasks import move
from bascule.tasks.run import NeedsPerson, Run

from tests.integration.busy_account import wait_for
from tests.integration.conftest import Lab
from tests.integration.directory_entries import administrator, dn_of, remove
from tests.integration.killed_move import killed_after
from tests.integration.test_moves import hand_in, on_old

ACCOUNT = "voyage-annuaire"
ADDRESS = "Zoe.Annuaire@obs.test"


@pytest.fixture
def traveller(lab: Lab) -> Iterator[str]:
    with on_old(lab, ACCOUNT, ADDRESS):
        yield ACCOUNT


@pytest.fixture
def run(lab: Lab, access: Access, ledger: Ledger) -> Run:
    return Run(lab.site, access, ledger, journal.Origin("move", "run-1", "account.move[0]", "anna"))


def test_an_entry_is_flipped_while_it_is_held_and_not_any_more_afterwards(
    run: Run, traveller: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """slapd takes a value out and puts it there again in one modify, and refuses all of it where it is gone."""
    entry = Entry(run.access, traveller)
    entry.hold()
    entry.flip("new", 1)
    assert entry.is_at("new") and entry.is_held()
    entry.flip("old", 2)
    before, modify = entry.state(), directory.modify_together

    def sleep(access: Access, connection: Any, dn: str, changes: Any) -> int:
        monkeypatch.setattr(directory, "modify_together", modify)
        Entry(run.access, traveller).release()
        return modify(access, connection, dn, changes)

    monkeypatch.setattr(directory, "modify_together", sleep)
    with pytest.raises(HoldGone):
        entry.flip("new", 3)
    assert entry.state() == before | {"mailHold": []}


def test_whose_entry_is_deleted_while_it_is_held_is_let_go_and_named(
    lab: Lab, run: Run, traveller: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move, "PATIENCE", 0.0)
    killed_after(lab, run.ledger, traveller, "new", "hold")
    hand_in(ADDRESS)
    mx, addresses = run.access.remote("mx"), [f"{ACCOUNT}@old.obs.test"]
    wait_for(lambda: any(each.reason for each in queue.waiting_for(mx, addresses, "+")), "it waits")
    with administrator(lab) as connection:
        remove(connection, [traveller])
    with pytest.raises(NeedsPerson, match=f"the directory has no entry of the account {ACCOUNT}"):
        move.end_what_was_left(run, overdue_only=False)
    assert moves.all_under_way(run.ledger) == []
    last = journal.entries(run.ledger, kind="move", subject=traveller)[-1]
    assert last.after == {"state": str(State.UNDONE), "server": ""}
    wait_for(lambda: not queue.waiting_for(mx, addresses, "+"), "it waits no more")


def test_whose_entry_is_renamed_while_it_is_held_waits_under_no_name(
    lab: Lab, run: Run, traveller: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hold has gone along to the new name, where no move has it."""
    renamed = f"{ACCOUNT}-2"
    monkeypatch.setattr(move, "PATIENCE", 0.0)
    killed_after(lab, run.ledger, traveller, "new", "hold")
    with administrator(lab) as connection:
        assert connection.modify_dn(dn_of(traveller), f"uid={renamed}"), connection.result
    try:
        with pytest.raises(NeedsPerson, match="it was renamed or deleted"):
            move.end_what_was_left(run, overdue_only=False)
        assert not Entry(run.access, renamed).is_held()
        assert moves.all_under_way(run.ledger) == []
    finally:
        with administrator(lab) as connection:
            remove(connection, [renamed])

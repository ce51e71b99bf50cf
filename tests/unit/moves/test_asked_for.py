"""Who is meant by what a run of `move` was asked for: nobody moves without having been meant."""

from collections.abc import Iterator
from contextlib import contextmanager

import ldap3
import pytest
from airflow.sdk.exceptions import ParamValidationError
from bascule.hosts import directory as hosts_directory
from bascule.hosts.directory import Account
from bascule.ledger import Ledger, journal, moves, phases, waves
from bascule.ledger.moves import State
from bascule.operators.params import move_settings
from bascule.operators.tasks import BeginMoves
from bascule.tasks import accounts, move
from bascule.tasks.run import NeedsPerson, Run

from tests.unit.changes.fakes import SITE, FakeAccess

lookup = hosts_directory.accounts  # of the real directory
EVERYBODY = ["anna", "bert", "tester", "zoe"]


@pytest.fixture(autouse=True)
def directory(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(_: object, selection: str | list[str]) -> list[Account]:
        return [Account(name, "") for name in (EVERYBODY if isinstance(selection, str) else selection)]

    monkeypatch.setattr(accounts.directory, "accounts", found)


def asked(ledger: Ledger, selection: str) -> Run:
    origin = journal.Origin("move", "run-1", "list_accounts_to_move", "anna")
    return Run(SITE, FakeAccess(), ledger, origin, selection=selection)


def moved(ledger: Ledger, account: str, to: moves.Server = "new") -> None:
    moves.note(ledger, moves.begin(ledger, account, to, {}, "run-0"), State.DONE)


@pytest.fixture
def some_moved(ledger: Ledger) -> Ledger:
    """Anna is on new; the move of bert broke off; zoe is back; the tester was on new from the beginning."""
    moved(ledger, "anna")
    moves.note(ledger, moves.begin(ledger, "bert", "new", {}, "run-0"), State.CARRYING)
    moved(ledger, "zoe")
    moved(ledger, "zoe", "old")
    waves.replace(ledger, [waves.Planned(name, "1") for name in EVERYBODY])
    return ledger


@pytest.mark.parametrize("selection", ["all", "(objectClass=*)", "wave:1"])
def test_only_who_had_moved_goes_back_where_nobody_is_named(
    some_moved: Ledger, capsys: pytest.CaptureFixture[str], selection: str
) -> None:
    assert move.list_to_move(asked(some_moved, selection), "old") == ["anna", "bert"]
    said = capsys.readouterr().out
    assert "these have not moved to new, and are left where they are" in said and "tester" in said


def test_who_was_on_new_from_the_beginning_goes_to_old_by_name(some_moved: Ledger) -> None:
    assert move.list_to_move(asked(some_moved, "tester, anna"), "old") == ["tester", "anna"]


def test_a_way_back_of_nobody_is_told(ledger: Ledger) -> None:
    with pytest.raises(NeedsPerson, match=r"nobody of 'all' has moved to new"):
        move.list_to_move(asked(ledger, "all"), "old")


@pytest.mark.parametrize("blank", [" ", "\n", " , "])
def test_a_blank_is_not_everybody(ledger: Ledger, blank: str) -> None:
    param = move_settings()["params"]["accounts"]
    with pytest.raises(ParamValidationError):
        param.resolve(blank)
    with pytest.raises(NeedsPerson, match="`accounts` is blank"):
        move.list_to_move(asked(ledger, blank), "old")


@pytest.mark.parametrize("words", ["all", "anna", "anna, bert", "(ou=optics)", "wave:1", " wave:1 "])
def test_the_form_takes_every_way_to_say_who(words: str) -> None:
    assert move_settings()["params"]["accounts"].resolve(words) == words


@pytest.mark.parametrize("wrong", ["(uid=*", "(uid=anna", "anna, nobody"])
def test_who_can_not_be_meant_is_told_at_once_and_not_tried_again(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """A NeedsPerson is not; what the directory says otherwise is. Nothing is begun, and no host was asked."""
    monkeypatch.setattr(accounts.directory, "accounts", lookup)
    monkeypatch.setattr(hosts_directory, "connected", in_memory)
    run = asked(ledger, wrong)
    with pytest.raises(NeedsPerson, match=r"failed: invalid filter|the directory has no account nobody"):
        BeginMoves(task_id="begin", to="new").act(run)
    assert phases.marked(ledger, "move", "started") is None


def test_a_run_of_somebody_begins(ledger: Ledger) -> None:
    BeginMoves(task_id="begin", to="new").act(asked(ledger, "anna"))
    assert phases.marked(ledger, "move", "started")


def test_a_directory_that_is_away_is_asked_again(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise hosts_directory.DirectoryError("the directory ldap can't be reached")

    monkeypatch.setattr(accounts.directory, "accounts", away)
    with pytest.raises(hosts_directory.DirectoryError, match="can't be reached"):
        BeginMoves(task_id="begin", to="new").act(asked(ledger, "anna"))


@contextmanager
def in_memory(_: object) -> Iterator[ldap3.Connection]:
    """A directory in which anna is."""
    connection = ldap3.Connection(ldap3.Server("ldap"), client_strategy=ldap3.MOCK_SYNC)
    entry = {"uid": "anna", "objectClass": "inetOrgPerson", "mailRoutingAddress": "anna@old.obs.test"}
    connection.strategy.add_entry(f"uid=anna,{SITE.directory.base}", entry)
    connection.bind()
    yield connection

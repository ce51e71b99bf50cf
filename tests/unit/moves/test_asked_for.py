"""Who is meant by what a run of `move` was asked for: nobody moves without having been meant."""

import pytest
from airflow.sdk.exceptions import ParamValidationError
from bascule.hosts.directory import Account
from bascule.ledger import Ledger, journal, moves, waves
from bascule.ledger.moves import State
from bascule.operators.params import move_settings
from bascule.tasks import accounts, move
from bascule.tasks.run import NeedsPerson, Run

from tests.unit.changes.fakes import SITE, FakeAccess

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

"""What a dry run says of an account: what is in its way, and what would be ended before."""

from types import SimpleNamespace

import pytest
from bascule.ledger import Ledger, journal, moves
from bascule.ledger.moves import State
from bascule.mailbox.result import PassResult
from bascule.problems import store
from bascule.problems.model import Option, Problem
from bascule.tasks import mailbox, move
from bascule.tasks.run import NeedsPerson, Run

from tests.deciding import decide
from tests.unit.changes.fakes import SITE, FakeAccess
from tests.unit.moves.fake_site import FakeActs, FakeSite
from tests.unit.moves.test_tasks import left


class Shown(FakeActs):
    """With what a dry run shows beside."""

    mail = SimpleNamespace(addresses={"old": "zoe@old.obs.test", "new": "zoe@new.obs.test"})
    sessions = SimpleNamespace(on=lambda server: ["imap"])


def look_finds(monkeypatch: pytest.MonkeyPatch, *, problems: int) -> None:
    def pass_over(run: Run, account: str, **_: object) -> PassResult:
        return PassResult(account, 3, 100, 0, 0, 0, 0, problems, 0, 0.1, run.dry_run)

    monkeypatch.setattr(mailbox, "pass_over", pass_over)


@pytest.fixture
def acts(monkeypatch: pytest.MonkeyPatch) -> FakeActs:
    made = Shown(FakeSite())
    monkeypatch.setattr(move, "SiteActs", lambda *_: made)
    look_finds(monkeypatch, problems=0)
    return made


@pytest.fixture
def dry(ledger: Ledger, acts: FakeActs) -> Run:
    return Run(SITE, FakeAccess(), ledger, journal.Origin("move", "run-1", "account.move[0]", "anna"), dry_run=True)


def test_a_hold_that_no_move_has_would_be_let_go(dry: Run, acts: FakeActs, capsys: pytest.CaptureFixture[str]) -> None:
    acts.site.held = True
    assert move.move(dry, "zoe", "new", 0) == "would move"
    assert "its mail is held though nobody moves it: it would be let go first" in capsys.readouterr().out
    assert acts.site.held


@pytest.mark.parametrize(("state", "at"), [(State.QUIETING, "old"), (State.CARRYING, "new")])
def test_a_move_that_broke_off_would_be_ended_first(
    dry: Run, acts: FakeActs, capsys: pytest.CaptureFixture[str], state: State, at: moves.Server
) -> None:
    """Also where the entry leads to new already: its last pass has not ended."""
    acts.site.held, acts.site.at = True, at
    found = left(dry.ledger, "zoe", state)
    assert move.move(dry, "zoe", "new", 0) == "would move"
    assert "a move of it broke off, and would be ended first" in capsys.readouterr().out
    assert (acts.done, moves.under_way(dry.ledger, "zoe")) == ([], found)


def test_who_is_there_is_told_so(dry: Run, acts: FakeActs) -> None:
    acts.site.at = "new"
    assert move.move(dry, "zoe", "new", 0) == "was there"


def test_who_stays_on_old_by_decision_would_not_move(dry: Run) -> None:
    with dry.ledger.session() as session:
        store.report(session, Problem("zoe", "mailbox", "folder-name", "a//b", "new refuses it"))
    decide(dry.ledger, option=Option.KEEP_ON_OLD)
    with pytest.raises(NeedsPerson, match="zoe was not moved: anne has decided that its mailbox stays on old"):
        move.move(dry, "zoe", "new", 0)


def test_who_has_problems_would_not_move(
    dry: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    look_finds(monkeypatch, problems=4)
    with pytest.raises(NeedsPerson, match=r"zoe was not moved: 4 problem\(s\) of its mailbox wait for a person"):
        move.move(dry, "zoe", "new", 0)
    assert "this account would be moved" not in capsys.readouterr().out


def test_whose_filters_wait_for_a_person_would_not_move(dry: Run) -> None:
    with dry.ledger.session() as session:
        store.report(session, Problem("zoe", "sieve", "unsupported", "absence", "new knows no such test"))
    with pytest.raises(NeedsPerson, match="zoe was not moved: its filters wait for a person"):
        move.move(dry, "zoe", "new", 0)
    decide(dry.ledger, option=Option.LEAVE_OUT)
    assert move.move(dry, "zoe", "new", 0) == "would move"


def test_a_move_that_broke_off_after_its_flip_would_be_finished_whatever_its_mailbox_has(
    dry: Run, acts: FakeActs, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_finds(monkeypatch, problems=4)
    acts.site.held, acts.site.at = True, "new"
    left(dry.ledger, "zoe", State.CARRYING)
    assert move.move(dry, "zoe", "new", 0) == "would move"

"""Folders that can't be carried, or not removed, and are left out by decision: nobody is asked about them again."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from bascule.ledger import Ledger
from bascule.mailbox.folders import deleted_on_old
from bascule.mailbox.folders.problems import report_nameless
from bascule.mailbox.imap.errors import Refused
from bascule.mailbox.problems import PassProblems
from bascule.problems import store
from bascule.problems.model import Option

from tests.deciding import decide


def one_pass(ledger: Ledger, meets: Callable[[PassProblems], Any]) -> Any:
    problems = PassProblems(ledger, "anna")
    problems.load()
    met = meets(problems)
    problems.write(complete=True)
    return met


def is_let_go(problems: PassProblems) -> bool:
    """What becomes of a folder that is gone from old and that new refuses to remove."""
    context: Any = SimpleNamespace(problems=problems)
    sessions: Any = SimpleNamespace(close=lambda cut: None)
    state: Any = SimpleNamespace(name="Plans", row=SimpleNamespace(new_name="Plans"))
    return deleted_on_old._tried(context, sessions, state, None)  # type: ignore[arg-type]


def refuses(*_: Any) -> bool:
    raise Refused("DELETE", "NO [NOPERM] not yours")


@pytest.mark.parametrize("option", [Option.APPLY, Option.LEAVE_OUT])
def test_folders_without_a_name_are_left_out_by_decision(ledger: Ledger, option: Option) -> None:
    one_pass(ledger, lambda problems: report_nameless(problems, 2))
    decide(ledger, option=option)
    for _ in range(2):
        one_pass(ledger, lambda problems: report_nameless(problems, 3))
        assert store.problems(ledger) == []
    assert [problem.kind for problem in store.problems(ledger, states=("settled",))] == ["folder-unreadable"]


def test_what_new_does_not_remove_stays_there_by_decision(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleted_on_old, "_settled", refuses)
    assert one_pass(ledger, is_let_go) is False
    decide(ledger, option=Option.LOOK_AGAIN)
    assert one_pass(ledger, is_let_go) is False
    assert [problem.kind for problem in store.problems(ledger)] == ["folder-closed-on-new"]
    decide(ledger, option=Option.LEAVE_OUT)
    assert one_pass(ledger, is_let_go) is True
    assert store.problems(ledger) == []
    assert [problem.kind for problem in store.problems(ledger, states=("settled",))] == ["folder-closed-on-new"]

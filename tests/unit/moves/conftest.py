"""What tests of waves share: a run that has begun, and a directory of four accounts."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from bascule.hosts.directory import Account
from bascule.ledger import Ledger, journal, phases, task_log
from bascule.ledger.base import now
from bascule.ledger.task_log import Try
from bascule.site import Site
from bascule.tasks import accounts, waves
from bascule.tasks.run import Run

from tests.unit.changes.fakes import SITE, FakeAccess

ORIGIN = journal.Origin("move", "run-1", "account.move[0]", "anna")
NINE = datetime(2037, 12, 1, 8)
KNOWN = ("anna", "bert", "carl", "dora")


def of_moves(**values: object) -> Site:
    assert SITE.moves
    return SITE.model_copy(update={"moves": SITE.moves.model_copy(update=values)})


@pytest.fixture
def run(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that has begun, after `prepare`; the directory has four accounts, who are all on old."""

    def found(access: object, selection: str | list[str] = "all") -> list[Account]:
        return [Account(name, "") for name in (KNOWN if selection == "all" else selection)]

    monkeypatch.setattr(accounts.directory, "accounts", found)
    monkeypatch.setattr(waves.Entry, "is_at", lambda self, server: server == "old")
    monkeypatch.setattr("bascule.checks.preflight.uids.make_uidls", lambda access: True)
    monkeypatch.setattr(waves.time, "sleep", lambda seconds: pytest.fail("it waits"))
    phases.mark(ledger, "prepare", "finished", replace(ORIGIN, phase="prepare"))
    return begun(Run(SITE, FakeAccess(), ledger, ORIGIN, asked_at=now()))


def begun(run: Run) -> Run:
    task_log.note(run.ledger, Try(replace(run.origin, task="begin"), 1), "done")
    return run


def another(run: Run) -> Run:
    """A run that is triggered now, and begins at once."""
    return begun(replace(run, origin=replace(ORIGIN, run="run-2"), asked_at=now()))


@pytest.fixture
def shell(run: Run, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The command line's environment."""
    monkeypatch.setenv("BASCULE_LEDGER", run.ledger.url)
    monkeypatch.setenv("BASCULE_SITE", str(Path(__file__).parents[3] / "lab" / "site.yaml"))
    return run.ledger

"""The cluster's scheduler: it looks seldom while nothing runs, and at Airflow's setting while something does."""

import runpy
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.cli.commands import scheduler_command
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

from lab.paths import CHECKOUT


@pytest.fixture
def paced(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module's names; what it changes of Airflow's is put back."""
    monkeypatch.setattr(scheduler_command, "SchedulerJobRunner", SchedulerJobRunner)
    return SimpleNamespace(**runpy.run_path(str(CHECKOUT / "cluster" / "scheduler.py")))


def test_airflows_command_takes_it(paced: Any) -> None:
    assert scheduler_command.SchedulerJobRunner is paced.PacedSchedulerJobRunner


def test_the_pause_goes_by_what_runs(paced: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = object.__new__(paced.PacedSchedulerJobRunner)
    runner._scheduler_idle_sleep_time = 0.5
    answers = [False, True, True, False]
    asked: list[str] = []
    session = SimpleNamespace(scalar=lambda query: asked.append(str(query)) or answers[len(asked) - 1])
    pauses = []

    def loop(self: Any) -> None:
        for _ in answers:
            assert self._do_scheduling(session) == 3
            pauses.append(self._scheduler_idle_sleep_time)

    monkeypatch.setattr(SchedulerJobRunner, "_do_scheduling", lambda self, session: 3)
    monkeypatch.setattr(SchedulerJobRunner, "_run_scheduler_loop", loop)
    runner._run_scheduler_loop()

    assert pauses == [paced.IDLE_SECONDS, 0.5, 0.5, paced.IDLE_SECONDS]
    assert all("dag_run.state IN" in query for query in asked)

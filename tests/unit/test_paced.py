"""The cluster's scheduler and DAG processor: they look seldom while there is nothing to do."""

import runpy
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.cli.commands import dag_processor_command, scheduler_command
from airflow.dag_processing.manager import DagFileProcessorManager
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

from lab.paths import CHECKOUT


@pytest.fixture
def paced(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module's names; what it changes of Airflow's is put back."""
    monkeypatch.setattr(scheduler_command, "SchedulerJobRunner", SchedulerJobRunner)
    return SimpleNamespace(**runpy.run_path(str(CHECKOUT / "cluster" / "scheduler.py")))


def test_airflows_command_takes_the_scheduler(paced: Any) -> None:
    assert scheduler_command.SchedulerJobRunner is paced.PacedSchedulerJobRunner


def test_the_schedulers_pause_goes_by_what_runs(paced: Any, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_the_dag_processor_waits_longer_while_it_reads_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dag_processor_command, "DagFileProcessorManager", DagFileProcessorManager)
    module = runpy.run_path(str(CHECKOUT / "cluster" / "dag_processor.py"))
    manager = dag_processor_command.DagFileProcessorManager(max_runs=1)
    waited: list[float] = []
    monkeypatch.setattr(
        DagFileProcessorManager, "_service_processor_sockets", lambda self, timeout: waited.append(timeout)
    )

    for timeout, processors in ((0.9, {}), (0.9, {"a file": "its process"}), (0.0, {})):
        manager._processors = processors
        manager._service_processor_sockets(timeout=timeout)

    assert waited == [0.9 + module["IDLE_SECONDS"], 0.9, 0.0]

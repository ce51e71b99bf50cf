"""A run that takes long to look at is looked at seldom, and no other one waits for it."""

import inspect
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bascule.operators.rounds import LONGEST, Rounds, let_runs_rest
from structlog.testing import capture_logs

from lab.paths import CHECKOUT
from tests.ledgers import empty_ledger


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Runner:
    """As Airflow's: what it looked at, and what a look of each run takes in seconds."""

    def __init__(self, clock: Clock, seconds: dict[int, float]) -> None:
        self.looked: list[int] = []
        self.clock, self.seconds = clock, seconds

    def _schedule_dag_run(self, dag_run: Any, session: Any) -> str:
        self.looked.append(dag_run.id)
        self.clock.now += self.seconds[dag_run.id]
        return "callback"


def resting(seconds: dict[int, float]) -> tuple[Any, Clock]:
    clock = Clock()
    runner = type("Runner", (Runner,), {"_schedule_dag_run": Runner._schedule_dag_run})
    let_runs_rest(runner, Rounds(clock))
    return runner(clock, seconds), clock


def look(runner: Any, *runs: int) -> list[Any]:
    return [runner._schedule_dag_run(SimpleNamespace(id=run), session=None) for run in runs]


def test_a_large_run_rests_eight_times_as_long_as_it_was_looked_at() -> None:
    runner, clock = resting({1: 0.25})
    assert look(runner, 1) == ["callback"]
    clock.now += 1.9
    assert look(runner, 1) == [None]
    clock.now += 0.2
    assert look(runner, 1) == ["callback"]


def test_a_run_of_which_a_look_takes_a_minute_rests_three_seconds() -> None:
    runner, clock = resting({1: 60.0})
    look(runner, 1)
    clock.now += LONGEST
    assert look(runner, 1) == ["callback"]


def test_a_small_run_is_looked_at_in_each_round_also_beside_a_large_one() -> None:
    runner, _ = resting({1: 1.0, 2: 0.01})
    look(runner, 1, 2, 1, 2, 1, 2)
    assert runner.looked == [1, 2, 2, 2]


def test_a_look_that_fails_lets_the_run_rest_and_says_its_error() -> None:
    clock = Clock()

    def fails(self: Any, dag_run: Any, session: Any) -> None:
        clock.now += 0.25
        raise ConnectionError

    let_runs_rest(failing := type("Failing", (), {"_schedule_dag_run": fails}), Rounds(clock))
    with pytest.raises(ConnectionError):
        look(failing(), 1)
    assert look(failing(), 1) == [None]


REST_NOT = "this Airflow looks at its runs in another way: they don't rest"


def test_an_airflow_that_looks_in_another_way_begins_all_the_same() -> None:
    with capture_logs() as said:
        let_runs_rest(type("Other", (), {}), Rounds())
    assert [(line["log_level"], line["event"]) for line in said] == [("warning", REST_NOT)]


# What the scheduler's process has, before it begins.
RUNNER = """
import sys
sys.argv = ["airflow", *sys.argv[1:]]
import airflow.settings
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner as runner
print(runner._schedule_dag_run.__code__.co_name)
"""


def environment(home: Path) -> dict[str, str]:
    """Of a process of Airflow that has Bascule's plugins."""
    env = {**os.environ, "AIRFLOW_HOME": str(home), "PYTHONPATH": f"{CHECKOUT / 'plugins'}:{CHECKOUT}"}
    return {**env, "BASCULE_LEDGER": empty_ledger(home / "ledger.db")}


@pytest.mark.parametrize(
    ("process", "name"), [("scheduler", "schedule_unless_it_rests"), ("api-server", "_schedule_dag_run")]
)
def test_runs_rest_in_the_scheduler_of_airflow(process: str, name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, process], env=environment(tmp_path), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == name


# A scheduler of an Airflow that has its runner elsewhere, and one that calls it otherwise.
ELSEWHERE = """
import sys, types
sys.argv = ["airflow", *sys.argv[1:]]
sys.modules["airflow.jobs.scheduler_job_runner"] = {there}
import airflow.settings
print("began")
"""


@pytest.mark.parametrize("there", ["None", "types.ModuleType('scheduler_job_runner')"])
def test_an_airflow_that_has_its_runner_elsewhere_begins_all_the_same(there: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", ELSEWHERE.format(there=there), "scheduler"]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["began"]), done.stderr
    assert REST_NOT in done.stdout + done.stderr


def test_airflow_calls_it_with_a_run_and_a_session() -> None:
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

    assert [*inspect.signature(SchedulerJobRunner._schedule_dag_run).parameters] == ["self", "dag_run", "session"]

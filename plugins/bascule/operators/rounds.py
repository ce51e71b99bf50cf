"""How often Airflow's scheduler looks at a run.

In each of its rounds, several a second, it loads all task instances of every run that goes on: with a thousand mapped
ones that is most of a core, and as much again of the database's. Such a run rests after each look. Its tasks that are
ready are queued all the same: only what follows a task that has just ended waits for the next look.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from typing import Any

from bascule.text.logs import get_logger

REST = 8  # times as long as the look took
QUICK = 0.05  # seconds: a look that needs no rest
LONGEST = 3.0  # seconds

log = get_logger(__name__)


class Rounds:
    """Which runs rest, by their numbers in Airflow's database."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[int, float] = {}

    def rests(self, run: int) -> bool:
        """Whether the run was looked at so shortly before that it is not to be looked at now."""
        return self._clock() < self._until.get(run, 0.0)

    @contextmanager
    def look(self, run: int) -> Iterator[None]:
        """Look at the run; it rests afterwards, however the look ended."""
        began = self._clock()
        try:
            yield
        finally:
            now = self._clock()
            self._until = {other: until for other, until in self._until.items() if until > now}
            if now - began > QUICK:
                self._until[run] = now + min(LONGEST, REST * (now - began))


def runner_of_airflow() -> type[Any] | None:
    """The scheduler's runner; None where this Airflow has it elsewhere."""
    try:
        module = import_module("airflow.jobs.scheduler_job_runner")
    except ImportError:  # it is no public part of Airflow's
        return None
    return getattr(module, "SchedulerJobRunner", None)


def let_runs_rest(runner: type[Any] | None, rounds: Rounds) -> None:
    """Let the scheduler's runner pass over runs that rest. An Airflow that has none begins all the same."""
    schedule = getattr(runner, "_schedule_dag_run", None)
    if runner is None or schedule is None:
        log.warning("this Airflow looks at its runs in another way: they don't rest")
        return

    @wraps(schedule)
    def schedule_unless_it_rests(self: Any, dag_run: Any, session: Any) -> Any:
        if rounds.rests(dag_run.id):
            return None  # no callback, as for a run of which nothing has to be told
        with rounds.look(dag_run.id):
            return schedule(self, dag_run, session)

    runner._schedule_dag_run = schedule_unless_it_rests

"""`airflow scheduler`, which looks seldom while nothing runs.

Airflow's pauses as long between two looks when a day is under way, where each task waits for the next look, as in the
weeks around it. What these looks cost is most of what an idle cluster costs, in the scheduler and in PostgreSQL.
"""

import sys

from airflow.__main__ import main
from airflow.cli.commands import scheduler_command
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.dagrun import DagRun
from airflow.utils.state import DagRunState
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

IDLE_SECONDS = (
    2.5  # within which a run begins that is triggered while nothing runs; half of the shortest of Airflow's timers
)
AT_WORK = (DagRunState.QUEUED, DagRunState.RUNNING)


class PacedSchedulerJobRunner(SchedulerJobRunner):
    def _do_scheduling(self, session: Session) -> int:
        queued: int = super()._do_scheduling(session)
        at_work = session.scalar(select(exists().where(DagRun.state.in_(AT_WORK))))
        self._scheduler_idle_sleep_time = self._at_work_seconds if at_work else IDLE_SECONDS
        return queued

    def _run_scheduler_loop(self) -> None:
        self._at_work_seconds = self._scheduler_idle_sleep_time  # by Airflow's setting
        super()._run_scheduler_loop()


scheduler_command.SchedulerJobRunner = PacedSchedulerJobRunner
if __name__ == "__main__":
    sys.argv[0] = "airflow"
    main()

"""Read by every process of Airflow at its start.

Workers get what tasks import before they fork a process for each: a task then begins in a fifth of a second of CPU
instead of two. What a pass asks of the ledger is compiled there, too. What was imported is as the files were when the
process started: restart the scheduler (LocalExecutor) or the workers (Celery) after an upgrade of Bascule. Whoever
writes logs bears a full disk.
"""

import sys

__all__: list[str] = []  # Airflow takes over what stands here

if sys.argv[1:2] in (["scheduler"], ["celery"], ["triggerer"], ["dag-processor"]):
    from bascule.operators import log_files

    log_files.bear_full_disks()

if sys.argv[1:2] in (["scheduler"], ["celery"]):
    from bascule.operators import before_fork

    before_fork.load()

if sys.argv[1:2] == ["scheduler"]:
    from bascule.operators.rounds import Rounds, let_runs_rest, runner_of_airflow

    let_runs_rest(runner_of_airflow(), Rounds())

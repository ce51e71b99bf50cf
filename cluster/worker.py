"""`airflow celery ...`, which ends at once when it is asked to stop while it starts.

Airflow's own handler of SIGTERM raises SystemExit. A worker forks its log server and another helper meanwhile, and
Python ignores what is raised in the functions that run at a fork: the worker came up as if nobody had asked, or waited
for a helper that had not heard, and was killed after its whole time of grace. Until Celery sets a handler of its own
there is no task to end, so that the signal's default is right.
"""

import signal
import sys

from airflow.__main__ import main
from airflow.cli.commands import daemon_utils

daemon_utils.sigint_handler = signal.SIG_DFL
sys.argv[0] = "airflow"
main()

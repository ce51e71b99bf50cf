"""`airflow celery ...`, which ends at once when it is asked to stop while it starts, and gives signs of life.

Airflow's own handler of SIGTERM raises SystemExit. A worker forks its log server and another helper meanwhile, and
Python ignores what is raised in the functions that run at a fork: the worker came up as if nobody had asked, or waited
for a helper that had not heard, and was killed after its whole time of grace. Until Celery sets a handler of its own
there is no task to end, so that the signal's default is right.

The worker's main process tells the broker every two seconds that it lives, and waits each time until the broker has
taken that. Before each time a file is touched, at which cluster/healthy.sh looks: it grows old when the process hangs,
and when the broker is away or does not answer.
"""

import signal
import sys
from pathlib import Path
from typing import Any

from airflow.__main__ import main
from airflow.cli.commands import daemon_utils
from celery.signals import heartbeat_sent

SIGN = Path("/tmp/worker-alive")  # noqa: S108 - the container's own, in memory and gone with it


def touch_sign(**_: Any) -> None:
    SIGN.touch()


heartbeat_sent.connect(touch_sign, weak=False)
daemon_utils.sigint_handler = signal.SIG_DFL
sys.argv[0] = "airflow"
main()

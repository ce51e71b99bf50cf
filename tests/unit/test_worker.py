"""The command of a cluster's worker: what Airflow would set for SIGTERM is not set."""

import os
import subprocess
import sys

from lab.paths import CHECKOUT

# In the place of Airflow's `main`: what each of its lasting commands does first.
PROBE = """
import runpy, signal, sys
from argparse import Namespace
import airflow.__main__
from airflow.cli.commands.daemon_utils import run_command_with_daemon_option as run

def lasting():
    run(args=Namespace(daemon=False), process_name="worker", callback=say)

def say():
    print(repr(signal.getsignal(signal.SIGTERM)))

airflow.__main__.main = lasting
{begin}
"""


def handler(begin: str) -> str:
    command = [sys.executable, "-c", PROBE.format(begin=begin)]
    environment = {**os.environ, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def test_a_worker_that_starts_is_ended_by_the_signal_itself() -> None:
    assert handler('runpy.run_path("cluster/worker.py", run_name="__main__")') == "<Handlers.SIG_DFL: 0>"


def test_airflows_own_command_would_raise_an_exception() -> None:
    """When this fails, cluster/worker.py may no longer be needed."""
    assert "sigint_handler" in handler("airflow.__main__.main()")

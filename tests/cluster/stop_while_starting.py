"""Run in a worker's container: another worker, asked to stop while it forks its helpers; prints how each try ended."""

import contextlib
import os
import signal
import subprocess
import sys
import time

PAUSES = (0, 0.002, 0.004, 0.008)  # seconds after it has said that it forks
SAID = b"starting stale bundle cleanup process"
SECONDS = 30  # for its end
LOG_SERVER = {"AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": "18793"}  # the container's own worker has the usual port


def tried(command: list[str], pause: float) -> str:
    process = subprocess.Popen(
        command, env={**os.environ, **LOG_SERVER}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    try:
        if not any(SAID in line for line in process.stdout):
            return f"ended by itself with {process.wait()}"
        time.sleep(pause)
        process.terminate()
        return f"ended with {process.wait(SECONDS)}"
    except subprocess.TimeoutExpired:
        return "did not end"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


for pause in PAUSES:
    print(tried(sys.argv[1:], pause), flush=True)

"""What can be lost while people answer: the process of a task, and Airflow's whole database."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil

from lab import airflow
from lab.airflow import MAILBOXES_AT_ONCE, Home, Rest
from lab.demo import wait_for_dags
from lab.paths import Instance

SECONDS = 120


def kill_task(rest: Rest, instance: Instance, dag: str, run: str, task: str, index: int) -> None:
    """Kill the process of this task as soon as it has one."""
    path = f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/{index}"
    deadline = time.monotonic() + SECONDS
    while True:
        ti: dict[str, Any] = rest.call("GET", path)
        if ti["state"] == "running" and ti["pid"]:
            break
        assert time.monotonic() < deadline, f"{task}[{index}] has no process: {ti['state']}"
        time.sleep(0.1)
    of_airflow = int(Home(instance).pid_file.read_text())
    assert of_airflow in {parent.pid for parent in psutil.Process(ti["pid"]).parents()}
    os.kill(ti["pid"], signal.SIGKILL)


def throw_airflows_database_away(rest: Rest, instance: Instance) -> None:
    """Stop Airflow, delete its database, and set it up anew; only Bascule's ledger is left of what people decided."""
    home = Home(instance)
    started = json.loads((home.path / "environment.json").read_text())
    airflow.stop(home)
    for path in home.path.glob("airflow.db*"):
        path.unlink()
    airflow.start(home, port=started["port"], site_file=Path(started["site_file"]))
    rest.wait_until_healthy()
    rest.make_pool("mailboxes", MAILBOXES_AT_ONCE)
    wait_for_dags(rest)

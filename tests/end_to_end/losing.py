"""What can be lost while people answer: the process of a task, and Airflow's whole database."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from lab import airflow
from lab.airflow import MAILBOXES_AT_ONCE, Home, Rest
from lab.demo import wait_for_dags
from lab.paths import Instance

SECONDS = 600


def kill_task(rest: Rest, instance: Instance, path: str, *, meanwhile: Callable[[], None]) -> None:
    """Kill the process of the task at this path of the REST API as soon as it has one; until then do this, too."""
    deadline = time.monotonic() + SECONDS
    while True:
        ti: dict[str, Any] = rest.call("GET", path)
        if ti["state"] == "running" and ti["pid"]:
            break
        assert time.monotonic() < deadline, f"{path} has no process: {ti['state']}"
        meanwhile()
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

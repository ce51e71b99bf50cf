"""What can be lost while people answer: the process of a task, all of Airflow, and its whole database."""

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from lab.airflow import processes
from lab.airflow.processes import MAILBOXES_AT_ONCE, Home, Rest
from lab.demo import wait_for_dags
from lab.paths import Instance

SECONDS = 600


def kill_task(
    rest: Rest, instance: Instance, path: str, *, meanwhile: Callable[[], None], when: Callable[[], bool]
) -> None:
    """Kill the process of the task at this path of the REST API at this moment; until it has one do this, too.

    A busy scheduler can lose a process before that moment, and asks anew: then it is the next one's.
    """
    deadline = time.monotonic() + SECONDS
    while not (process := running(rest, instance, path)) or not killed(process, when):
        assert time.monotonic() < deadline, f"{path} does not come to where it is to be killed"
        meanwhile()
        time.sleep(0.1)


def running(rest: Rest, instance: Instance, path: str) -> psutil.Process | None:
    """The process of the task, when it has one."""
    ti: dict[str, Any] = rest.call("GET", path)
    if ti["state"] != "running" or not ti["pid"]:
        return None
    try:
        process = psutil.Process(ti["pid"])
        of_airflow = int(Home(instance).pid_file.read_text())
        return process if of_airflow in {parent.pid for parent in process.parents()} else None
    except psutil.NoSuchProcess:
        return None


def killed(process: psutil.Process, when: Callable[[], bool]) -> bool:
    """Kill the process at this moment; whether it lived as long."""
    while runs(process):
        if when():
            process.kill()
            return True
    return False


def kill_airflow(rest: Rest, instance: Instance) -> None:
    """Kill every process of Airflow, as a machine that goes down does, and start it again."""
    home = Home(instance)
    honcho = psutil.Process(int(home.pid_file.read_text()))
    everything = [honcho, *honcho.children(recursive=True)]
    for process in everything:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    while any(runs(process) for process in everything):
        time.sleep(0.1)
    start_again(rest, home)


def runs(process: psutil.Process) -> bool:
    """Whether it does; what has ended and whose parent has not asked does not."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def start_again(rest: Rest, home: Home) -> None:
    started = json.loads((home.path / "environment.json").read_text())
    processes.start(home, port=started["port"], site_file=Path(started["site_file"]))
    rest.wait_until_healthy()


def throw_airflows_database_away(rest: Rest, instance: Instance) -> None:
    """Stop Airflow, delete its database, and set it up anew; only Bascule's ledger is left of what people decided."""
    home = Home(instance)
    processes.stop(home)
    home.database.start()
    home.database.forget("airflow")
    start_again(rest, home)
    rest.make_pool("mailboxes", MAILBOXES_AT_ONCE)
    wait_for_dags(rest)

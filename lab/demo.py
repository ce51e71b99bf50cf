"""The demo: a fresh practice site, Airflow beside it, the days before and the day itself, and what became of it."""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from lab import airflow, facts
from lab.airflow import Home, Rest
from lab.answering import Answerer, read_rules
from lab.network import joined
from lab.paths import CHECKOUT, Instance
from lab.summary import print_summary, summarise

SITE_FILE = CHECKOUT / "lab" / "site.yaml"
ANSWERS = CHECKOUT / "lab" / "answers.yaml"
SUMMARY = CHECKOUT / "var" / "summary.json"
PHASES = ("freeze", "transfer", "cutover", "drain")
POLL_SECONDS = 2.0
STILL_LOOKING_SECONDS = 15  # a line of progress at least so often
NAME = "main"


class DemoFailed(Exception):
    """Raised when the day did not come to its end; the text says where to look."""


class Teller:
    """Lines on the terminal, each with the time since the beginning."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def __call__(self, text: str) -> None:
        seconds = int(time.monotonic() - self.began)
        print(f"[{seconds // 60:2d}:{seconds % 60:02d}] {text}", flush=True)


def lab_command(instance: Instance, *words: str, inside: bool = False) -> None:
    """Run one command of the lab, showing what it prints. Raises DemoFailed."""
    import subprocess

    command = [sys.executable, "-m", "lab", "--instance", instance.name, *words]
    done = subprocess.run(joined(instance, command) if inside else command, cwd=CHECKOUT, check=False)
    if done.returncode:
        raise DemoFailed(f"`{' '.join(command[1:])}` ended with status {done.returncode}; its words stand above")


def bring_up_site(instance: Instance, tell: Teller, *, accounts: int, seed: int) -> None:
    """A fresh practice site, booted and filled."""
    tell("the practice site: booting its hosts (the first time their images are built)")
    lab_command(instance, "up", "--fresh")
    tell(f"the practice site: filling it ({accounts} accounts, seed {seed})")
    lab_command(instance, "fill", "--accounts", str(accounts), "--seed", str(seed))


def bring_up_airflow(instance: Instance, tell: Teller, *, port: int, fresh: bool, name_of_site: Path = SITE_FILE) -> Rest:
    """Airflow in the site's network, healthy, with its UI on 127.0.0.1:`port`."""
    home = Home(instance)
    if fresh:
        airflow.stop(home)
        shutil.rmtree(home.path, ignore_errors=True)
    airflow.start(home, wrap=lambda words: joined(instance, words), port=port, site_file=name_of_site, say=tell)
    lab_command(instance, "forward", str(airflow.PORT_INSIDE), "--listen", str(port))
    rest = Rest(f"http://127.0.0.1:{port}", airflow.USER, home.password())
    rest.wait_until_healthy()
    rest.make_pool("mailboxes", airflow.MAILBOXES_AT_ONCE)
    wait_for_dags(rest)
    tell("Airflow: healthy")
    return rest


def wait_for_dags(rest: Rest) -> None:
    """Wait until all phases are known. Raises DemoFailed with the import errors when they don't come."""
    wanted, deadline = {"prepare", "problems", *PHASES, "migrate"}, time.monotonic() + 90
    while not wanted <= rest.dags():
        if time.monotonic() > deadline:
            raise DemoFailed(f"Airflow does not know {wanted - rest.dags()}: {rest.import_errors()}")
        time.sleep(1)


def follow(rest: Rest, dags: list[tuple[str, str]], tell: Teller, answerer: Answerer) -> str:
    """Follow runs until the first of `dags` ends, telling what goes on; return its state."""
    last, told_at, main = "", 0.0, dags[0]
    while True:
        answerer.look()
        state = rest.run_state(*main)
        line = progress_line(rest, dags)
        if line and (line != last or time.monotonic() - told_at > STILL_LOOKING_SECONDS):
            tell(line)
            last, told_at = line, time.monotonic()
        if state in ("success", "failed"):
            return str(state)
        time.sleep(POLL_SECONDS)


def progress_line(rest: Rest, dags: list[tuple[str, str]]) -> str:
    """Phase, task, mailboxes done of total, of whatever runs now."""
    for dag, run in reversed(dags):
        if rest.run_state(dag, run) not in ("running", "queued"):
            continue
        tasks = rest.tasks(dag, run)
        syncs = [task for task in tasks if task["task_id"] == "mailbox.sync"]
        running = sorted({task["task_id"] for task in tasks if task["state"] in ("running", "queued", "scheduled")})
        waiting = [task for task in tasks if task["state"] == "awaiting_input"]
        parts = [f"{dag}: {', '.join(running[:3]) or 'waiting'}"]
        if syncs:
            done = sum(task["state"] in ("success", "failed") for task in syncs)
            parts.append(f"mailboxes {done} of {len(syncs)}")
        if waiting:
            parts.append(f"{len(waiting)} question(s) wait for a person")
        return "; ".join(parts)
    return ""


def run_phase(rest: Rest, dag: str, tell: Teller, answerer: Answerer, children: tuple[str, ...] = ()) -> str:
    """Trigger a DAG, follow it to its end, return the run's id. Raises DemoFailed with the failed tasks."""
    run = rest.trigger(dag)
    tell(f"{dag}: triggered")
    runs = [(dag, run), *((child, run) for child in children)]
    if follow(rest, runs, tell, answerer) == "success":
        return run
    failed = [
        f"{name}.{task['task_id']} {task.get('rendered_map_index') or ''}".strip()
        for name, _ in runs
        if rest.run_state(name, run)
        for task in rest.tasks(name, run)
        if task["state"] == "failed" and task["task_id"] != "mailbox.sync"
    ]
    raise DemoFailed(f"{dag} failed in {', '.join(failed)}: look at the log of these tasks in the UI")


def run_demo(instance: Instance, *, accounts: int, seed: int, port: int) -> int:
    """The whole of `make demo`. Returns the exit status."""
    tell = Teller()
    bring_up_site(instance, tell, accounts=accounts, seed=seed)
    rest = bring_up_airflow(instance, tell, port=port, fresh=True)
    answerer = Answerer(rest, read_rules(ANSWERS))
    tell("injecting numbered messages through the MX, from now until the day is done")
    lab_command(instance, "inject", "start")
    try:
        runs = {"prepare": run_phase(rest, "prepare", tell, answerer)}
        runs["migrate"] = run_day(rest, tell, answerer, instance)
    finally:
        lab_command(instance, "inject", "stop")
    tell("counting where each message is")
    summary = summarise(instance, rest, runs, answerer.given, seconds=time.monotonic() - tell.began)
    SUMMARY.parent.mkdir(exist_ok=True)
    SUMMARY.write_text(json.dumps(summary, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    print_summary(summary)
    print_where(instance, port)
    return 0 if summary["good"] else 1


def run_day(rest: Rest, tell: Teller, answerer: Answerer, instance: Instance) -> str:
    """The DAG `migrate` with its phases. Mail is injected until the drain begins, which waits for an empty queue."""
    run = rest.trigger("migrate")
    tell("migrate: triggered")
    runs = [("migrate", run), *((phase, run) for phase in PHASES)]
    stopped = False
    last, told_at = "", 0.0
    while (state := rest.run_state("migrate", run)) not in ("success", "failed"):
        answerer.look()
        if not stopped and rest.run_state("drain", run):
            lab_command(instance, "inject", "stop")
            stopped = True
        line = progress_line(rest, runs)
        if line and (line != last or time.monotonic() - told_at > STILL_LOOKING_SECONDS):
            tell(line)
            last, told_at = line, time.monotonic()
        time.sleep(POLL_SECONDS)
    if state != "success":
        raise DemoFailed(f"migrate failed in {', '.join(failed_tasks(rest, runs))}: look at the log of these tasks in the UI")
    return run


def failed_tasks(rest: Rest, runs: list[tuple[str, str]]) -> list[str]:
    return [
        f"{dag}.{task['task_id']} {task.get('rendered_map_index') or ''}".strip()
        for dag, run in runs
        if rest.run_state(dag, run)
        for task in rest.tasks(dag, run)
        if task["state"] == "failed" and task["task_id"] != "mailbox.sync"
    ]


def print_where(instance: Instance, port: int) -> None:
    """Where the UI is, and how to log in."""
    home = Home(instance)
    print(f"\nAirflow's web UI: http://127.0.0.1:{port}/   user {airflow.USER}, password {home.password()}")
    print("Everything is left running: look around. `make down` stops it.")

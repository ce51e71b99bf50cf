"""The demo: a fresh practice site, Airflow beside it, the days before and the day itself, and what became of it."""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import requests
from bascule.ledger import Ledger

from lab import airflow
from lab.airflow import AirflowNotReady, Home, Rest
from lab.answering import Answerer, read_rules
from lab.following import RunFailed, Runs, Teller, follow
from lab.paths import CHECKOUT, SITE_FILE, Instance
from lab.shell import LabError
from lab.summary import print_summary, summarise

ANSWERS = CHECKOUT / "lab" / "answers.yaml"
SUMMARY = CHECKOUT / "var" / "summary.json"
DECIDED_BEFORE = ["cdaubigne", "mlacour"]  # by `problems`, days before the day
PHASES = ("freeze", "transfer", "cutover", "drain")
NAME = "main"


class DemoFailed(Exception):
    """Raised when the day did not come to its end; the text says where to look."""


def lab(instance: Instance, *words: str) -> None:
    """Run one command of the lab, showing what it prints. Raises DemoFailed."""
    command = [sys.executable, "-m", "lab", "--instance", instance.name, *words]
    if status := subprocess.run(command, cwd=CHECKOUT, check=False).returncode:
        raise DemoFailed(f"`python -m lab {' '.join(words)}` ended with status {status}; its words stand above")


def bring_up_site(instance: Instance, tell: Teller, *, accounts: int, seed: int) -> None:
    """A fresh practice site, booted and filled."""
    airflow.stop(Home(instance))  # it would look for the hosts that are thrown away now
    tell("practice site: booting its hosts (their images are built first, the first time)")
    lab(instance, "up", "--fresh")
    tell(f"practice site: filling it ({accounts} accounts, seed {seed})")
    lab(instance, "fill", "--accounts", str(accounts), "--seed", str(seed))


def bring_up_airflow(instance: Instance, tell: Teller, *, port: int, site_file: Path = SITE_FILE) -> Rest:
    """A fresh Airflow in the site's network, healthy, with its UI on 127.0.0.1:`port`."""
    home = Home(instance)
    airflow.stop(home)
    shutil.rmtree(home.path, ignore_errors=True)
    airflow.start(home, port=port, site_file=site_file, say=tell)
    lab(instance, "forward", str(airflow.PORT_INSIDE), "--listen", str(port))
    rest = Rest(f"http://127.0.0.1:{port}", airflow.USER, home.password())
    rest.wait_until_healthy()
    rest.make_pool("mailboxes", airflow.MAILBOXES_AT_ONCE)
    wait_for_dags(rest)
    tell("Airflow: healthy")
    return rest


def wait_for_dags(rest: Rest, seconds: float = 300) -> None:
    """Wait until all phases are known. Raises DemoFailed with the import errors when they don't come."""
    wanted, deadline = {"prepare", "problems", *PHASES, "rollback", "migrate"}, time.monotonic() + seconds
    while not wanted <= rest.dags():
        if time.monotonic() > deadline:
            raise DemoFailed(f"Airflow does not know {sorted(wanted - rest.dags())}: {rest.import_errors()}")
        time.sleep(1)


def run_demo(instance: Instance, *, accounts: int, seed: int, port: int) -> int:
    """The whole of `make demo`. Returns the exit status."""
    tell = Teller()
    bring_up_site(instance, tell, accounts=accounts, seed=seed)
    rest = bring_up_airflow(instance, tell, port=port)
    answerer = Answerer(rest, read_rules(ANSWERS), instance)
    tell("numbered messages are injected through the MX from now on, until the day is done")
    lab(instance, "inject", "start")
    try:
        runs = {"prepare": run_prepare(instance, rest, tell, answerer)}
        runs["problems"] = run_problems(instance, rest, tell, answerer)
        lab(instance, "meanwhile")
        runs["migrate"] = run_day(instance, rest, tell, answerer)
    finally:
        lab(instance, "inject", "stop")
    tell("counting where each message is")
    summary = summarise(instance, rest, runs, answerer.given, seconds=time.monotonic() - tell.began)
    SUMMARY.parent.mkdir(exist_ok=True)
    SUMMARY.write_text(json.dumps(summary, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    print_summary(summary)
    print_where(instance, port)
    return 0 if summary["good"] else 1


def run_prepare(instance: Instance, rest: Rest, tell: Teller, answerer: Answerer) -> str:
    """The DAG `prepare`, as on the days before."""
    run = rest.trigger("prepare")
    tell("prepare: triggered")
    follow(rest, Ledger(Home(instance).ledger_url), [("prepare", run)], tell, answerer)
    return run


def run_problems(instance: Instance, rest: Rest, tell: Teller, answerer: Answerer) -> str:
    """The DAG `problems`: some mailboxes are decided days before, the others wait for the day."""
    run = rest.trigger("problems", {"accounts": ", ".join(DECIDED_BEFORE)})
    tell(f"problems: triggered for {' and '.join(DECIDED_BEFORE)}")
    follow(rest, Ledger(Home(instance).ledger_url), [("problems", run)], tell, answerer)
    return run


def run_day(instance: Instance, rest: Rest, tell: Teller, answerer: Answerer) -> str:
    """The DAG `migrate` with its phases. Mail is injected until the drain begins, which waits for an empty queue."""
    run = rest.trigger("migrate")
    tell("migrate: triggered")
    injecting = True

    def stop_injecting_when_drained() -> None:
        nonlocal injecting
        if injecting and rest.run_state("drain", run):
            lab(instance, "inject", "stop")
            injecting = False

    runs: Runs = [("migrate", run), *((phase, run) for phase in PHASES)]
    follow(rest, Ledger(Home(instance).ledger_url), runs, tell, answerer, stop_injecting_when_drained)
    return run


def print_where(instance: Instance, port: int) -> None:
    """Where the UI is, and how to log in."""
    print(f"\nAirflow's web UI: http://127.0.0.1:{port}/   user {airflow.USER}, password {Home(instance).password()}")
    print("Everything is left running: look around. `make down` stops it.")


def free_port(wanted: int) -> int:
    """The port, or the next one that nobody listens on."""
    import socket

    for port in range(wanted, wanted + 50):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise DemoFailed(f"no free port from {wanted} on: name another one with PORT=")


def bring_down(instance: Instance, *, purge: bool) -> None:
    """Stop Airflow and the practice site; with `purge` throw the site away as well."""
    airflow.stop(Home(instance))
    lab(instance, "purge" if purge else "down")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.demo", description=__doc__)
    parser.add_argument("what", choices=("run", "lab", "airflow", "down", "purge"))
    parser.add_argument("--accounts", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=8080, help="of the UI on 127.0.0.1")
    given = parser.parse_args()
    instance, tell = Instance(NAME), Teller()
    try:
        if given.what in ("down", "purge"):
            bring_down(instance, purge=given.what == "purge")
            return 0
        bring_down(instance, purge=False)  # whatever an earlier demo left, so that its port is free again
        port = free_port(given.port)
        if given.what == "run":
            return run_demo(instance, accounts=given.accounts, seed=given.seed, port=port)
        bring_up_site(instance, tell, accounts=given.accounts, seed=given.seed)
        if given.what == "airflow":
            bring_up_airflow(instance, tell, port=port)
            print_where(instance, port)
        return 0
    except (DemoFailed, RunFailed, AirflowNotReady, LabError, requests.RequestException) as error:
        tell(f"the demo stopped: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())

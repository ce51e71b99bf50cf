"""The demo: a fresh practice site, Airflow beside it, the days before and the day itself, and what became of it."""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
from bascule.ledger import Ledger, waves
from bascule.problems import store

from lab.airflow import processes
from lab.airflow.answering import Answerer, days_before, read_rules
from lab.airflow.database import DatabaseFailed
from lab.airflow.following import PHASES, RunFailed, Runs, Teller, follow, wait_for_dags
from lab.airflow.planning import Planner, start
from lab.airflow.processes import AirflowNotReady, Home, Rest, environment
from lab.hosts.network import joined
from lab.measure import at_work
from lab.measure.moved import figures, rows_of, table
from lab.measure.summary import print_summary, summarise
from lab.paths import CHECKOUT, SITE_FILE, Instance
from lab.shell import LabError, lab

ANSWERS = CHECKOUT / "lab" / "answers.yaml"
SUMMARY = CHECKOUT / "var" / "summary.json"
DECIDED_BEFORE = ["cdaubigne", "mlacour"]  # by `problems`, days before the day
MOVES_SUMMARY = CHECKOUT / "var" / "moves.json"
MOVES_AT_ONCE = 4
PER_WAVE = 8
WORK_ON_SECONDS = 10
NAME = "main"


def bring_up_site(instance: Instance, tell: Teller, *, accounts: int, seed: int) -> None:
    """A fresh practice site, booted and filled."""
    processes.stop(Home(instance))  # it would look for the hosts that are thrown away now
    Home(instance).forget_cluster()
    tell("practice site: booting its hosts (their images are built first, the first time)")
    lab(instance, "up", "--fresh")
    tell(f"practice site: filling it ({accounts} accounts, seed {seed})")
    lab(instance, "fill", "--accounts", str(accounts), "--seed", str(seed))


def bring_up_airflow(instance: Instance, tell: Teller, *, port: int, site_file: Path = SITE_FILE) -> Rest:
    """A fresh Airflow in the site's network, healthy, with its UI on 127.0.0.1:`port`."""
    home = Home(instance)
    processes.stop(home)
    shutil.rmtree(home.path, ignore_errors=True)
    home.database.remove()
    processes.start(home, port=port, site_file=site_file, say=tell)
    lab(instance, "forward", str(processes.PORT_INSIDE), "--listen", str(port))
    rest = Rest(f"http://127.0.0.1:{port}", processes.USER, home.password())
    rest.wait_until_healthy()
    rest.make_pool("mailboxes", processes.MAILBOXES_AT_ONCE)
    wait_for_dags(rest)
    tell("Airflow: healthy")
    return rest


def run_demo(instance: Instance, *, accounts: int, seed: int, port: int, on_cluster: bool = False) -> int:
    """The whole of `make demo`, or of `make cluster`. Returns the exit status."""
    tell = Teller()
    bring_up_site(instance, tell, accounts=accounts, seed=seed)
    if on_cluster:
        from lab.cluster.up import bring_up_cluster

        rest = bring_up_cluster(instance, tell, port=port)
    else:
        rest = bring_up_airflow(instance, tell, port=port)
    answerer = Answerer(rest, read_rules(ANSWERS), instance)
    tell("numbered messages are injected through the MX from now on, until the day is done")
    lab(instance, "inject", "start")
    try:
        runs = {"prepare": run_prepare(instance, rest, tell, answerer)}
        runs["problems"] = run_problems(instance, rest, tell, answerer, DECIDED_BEFORE)
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


def run_moves_demo(instance: Instance, *, accounts: int, seed: int, port: int) -> int:
    """The whole of `make demo-moves`: everybody works, and moves at noon, wave by wave. Returns the exit status."""
    tell = Teller()
    bring_up_site(instance, tell, accounts=accounts, seed=seed)
    rest = bring_up_airflow(instance, tell, port=port)
    answerer = Answerer(rest, days_before(read_rules(ANSWERS)), instance)
    run_prepare(instance, rest, tell, answerer)
    run_problems(instance, rest, tell, answerer)
    ledger = Ledger(Home(instance).ledger_url)
    planned = plan_waves(instance, ledger, tell)
    names, before = sorted(account for wave in planned.values() for account in wave), rows_of(ledger)
    with at_work.at_work(instance, names, pause=1.0, mail_pause=0.2):
        tell(f"it is noon: {len(names)} people work, and numbered mail comes for all of them")
        for wave, several in planned.items():
            began = time.monotonic()
            run = rest.trigger("move", {"accounts": f"wave:{wave}", "at_once": MOVES_AT_ONCE})
            tell(f"move: triggered for wave {wave}, {len(several)} accounts, {MOVES_AT_ONCE} at once")
            follow(rest, ledger, [("move", run)], tell, answerer)
            tell(f"move: wave {wave} has moved in {time.monotonic() - began:.0f} s")
        tell("everybody has moved, and goes on working for a moment")
        time.sleep(WORK_ON_SECONDS)
    tell("counting what the mail programs were told was done, and every numbered message")
    found = figures(instance, ledger, at_work.count(instance), before)
    MOVES_SUMMARY.parent.mkdir(exist_ok=True)
    MOVES_SUMMARY.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print("\n".join(["", *table({"at noon": found}), "", f"everything: {MOVES_SUMMARY.relative_to(CHECKOUT)}"]))
    print_where(instance, port)
    return 0 if at_work.Verdict(**found["verdict"]).good and found["moves"] == len(names) else 1


def plan_waves(instance: Instance, ledger: Ledger, tell: Teller) -> dict[str, list[str]]:
    """Propose waves of people who share something, and let all of them begin now. Returns their accounts, by wave."""
    own = environment(Home(instance), port=0, site_file=SITE_FILE)
    planner = Planner(joined(instance, []), own, Home(instance).path / "waves.csv")
    planner.propose(PER_WAVE)
    planner.edit(lambda row: {**row, "start": start()} if row["wave"] else row)
    found: dict[str, list[str]] = {}
    for each in waves.plan(ledger):
        found.setdefault(each.wave, []).append(each.account)
    waiting = found.pop("", [])
    kept = sorted(store.kept_on_old(ledger))
    tell(f"planned: {', '.join(f'wave {wave}: {len(several)}' for wave, several in found.items())} accounts")
    tell(f"not planned: {', '.join(waiting) or 'nobody'}; kept on old by decision: {', '.join(kept) or 'nobody'}; "
         "all others are on new already")  # fmt: skip
    return found


def run_prepare(instance: Instance, rest: Rest, tell: Teller, answerer: Answerer) -> str:
    """The DAG `prepare`, as on the days before."""
    run = rest.trigger("prepare")
    tell("prepare: triggered")
    follow(rest, Ledger(Home(instance).ledger_url), [("prepare", run)], tell, answerer)
    return run


def run_problems(instance: Instance, rest: Rest, tell: Teller, answerer: Answerer, accounts: Sequence[str] = ()) -> str:
    """The DAG `problems`: these mailboxes (without any: all of them) are decided before the day."""
    run = rest.trigger("problems", {"accounts": ", ".join(accounts)} if accounts else None)
    tell(f"problems: triggered for {' and '.join(accounts) or 'everybody'}")
    follow(rest, Ledger(Home(instance).ledger_url), [("problems", run)], tell, answerer)
    return run


def run_day(
    instance: Instance, rest: Rest, tell: Teller, answerer: Answerer, each: Callable[[str], None] = lambda run: None
) -> str:
    """The DAG `migrate` with its phases. Mail is injected until the drain begins, which waits for an empty queue.

    `each`: called with the run at every look.
    """
    run = rest.trigger("migrate")
    tell("migrate: triggered")
    injecting = True

    def look() -> None:
        nonlocal injecting
        each(run)
        if injecting and rest.run_state("drain", run):
            lab(instance, "inject", "stop")
            injecting = False

    runs: Runs = [("migrate", run), *((phase, run) for phase in PHASES)]
    follow(rest, Ledger(Home(instance).ledger_url), runs, tell, answerer, look)
    return run


def print_where(instance: Instance, port: int) -> None:
    """Where the UI is, and how to log in."""
    print(f"\nAirflow's web UI: http://127.0.0.1:{port}/   user {processes.USER}, password {Home(instance).password()}")
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
    raise LabError(f"no free port from {wanted} on: name another one with PORT=")


def bring_down(instance: Instance, *, purge: bool) -> None:
    """Stop Airflow and the practice site; with `purge` throw the site away as well."""
    processes.stop(Home(instance))
    if purge:
        Home(instance).database.remove()
    lab(instance, "purge" if purge else "down")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.demo", description=__doc__)
    parser.add_argument("what", choices=("run", "moves", "cluster", "lab", "airflow", "down", "purge"))
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
        if given.what == "moves":
            return run_moves_demo(instance, accounts=given.accounts, seed=given.seed, port=port)
        if given.what in ("run", "cluster"):
            on_cluster = given.what == "cluster"
            return run_demo(instance, accounts=given.accounts, seed=given.seed, port=port, on_cluster=on_cluster)
        bring_up_site(instance, tell, accounts=given.accounts, seed=given.seed)
        if given.what == "airflow":
            bring_up_airflow(instance, tell, port=port)
            print_where(instance, port)
        return 0
    except (RunFailed, AirflowNotReady, DatabaseFailed, LabError, httpx.HTTPError) as error:
        tell(f"the demo stopped: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())

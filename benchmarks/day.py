"""The whole way at several sizes: `prepare`, decisions, `prepare` again, a night's changes, the day.

`python -m benchmarks.day 24 200 1000` boots a practice site of its own (`bench-day`) for each number of accounts and
writes its tables into docs/performance.md; the figures themselves go to var/day-NUMBER.json. 5 of 100 mailboxes have
problems that are decided before, five ask on the day; 1 % of the mail comes between `prepare` and the day, for 30 % of
the people, and more while the day goes on.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from typing import Any

from benchmarks import pages
from benchmarks.mailbox import write_page
from lab.airflow.answering import Answerer, read_rules
from lab.airflow.following import Teller, follow
from lab.airflow.processes import Home, Rest
from lab.corpus import inventory
from lab.corpus.inventory import ordinary
from lab.corpus.store import Stores
from lab.demo import (
    ANSWERS,
    DECIDED_BEFORE,
    bring_down,
    bring_up_airflow,
    bring_up_site,
    free_port,
    lab,
    run_day,
    run_prepare,
)
from lab.hosts.network import joined
from lab.measure import cost, inject
from lab.measure.summary import summarise
from lab.paths import CHECKOUT, Instance

NAME, SEED, PORT = "bench-day", 3, 8480
SIZES = (24, 200, 1000)
PROBLEMS = 5  # percent of the mailboxes: of a thousand, a page of questions
CHANGED = 30  # percent of the people who get mail in a night
MAIL = 1  # percent of the mail that comes in it
REFUSED = "INBOX.~à trier"  # a folder whose name new refuses
RATE = 10  # messages a second, of a night
SAMPLE_SECONDS = 5
ASKED_SECONDS = 90  # until all of those questions wait
BEGIN, END = "<!-- day: begin -->", "<!-- day: end -->"
ACTS = ("freeze", "cutover")
GO = "go_no_go"  # the question in the outage
FOR_PEOPLE = (GO, "functional_test")


class Measured:
    """Parts of the way: wall clock, CPU by kind of process, the load, and the most memory that was seen."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.parts: dict[str, dict[str, Any]] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        began, before, most = time.monotonic(), cost.cpu_seconds(self._home), cost.memory_bytes(self._home)
        ended = threading.Event()

        def sample() -> None:
            nonlocal most
            while not ended.wait(SAMPLE_SECONDS):
                most = max(most, cost.memory_bytes(self._home), key=Counter.total)

        sampler = threading.Thread(target=sample, daemon=True)
        sampler.start()
        try:
            yield
        finally:
            ended.set()
            sampler.join()
        after = cost.cpu_seconds(self._home)
        after.subtract(before)
        self.parts[name] = {
            "seconds": round(time.monotonic() - began, 1),
            "cpu": {kind: round(seconds, 1) for kind, seconds in sorted(after.items())},
            "load": round(os.getloadavg()[0], 1),
            "memory": {kind: round(size / 1e6) for kind, size in sorted(most.items())},
        }
        print(name, json.dumps(self.parts[name]), flush=True)


def measure(accounts: int) -> dict[str, Any]:
    """One size, from nothing to the count of every message."""
    instance, tell = Instance(NAME), Teller()
    bring_up_site(instance, tell, accounts=accounts, seed=SEED)
    inside(instance, "--refuse", str(accounts * PROBLEMS // 100))
    rest = bring_up_airflow(instance, tell, port=free_port(PORT))
    answerer = Answerer(rest, read_rules(ANSWERS), instance)
    measured = Measured(Home(instance))
    with measured.part("prepare"):
        runs = {"prepare": run_prepare(instance, rest, tell, answerer)}
    with measured.part("problems"):
        runs["problems"], seen = decide(instance, rest, tell, answerer, accounts)
    lab(instance, "meanwhile")
    send_a_nights_mail(instance)
    with measured.part("second prepare"):
        run_prepare(instance, rest, tell, answerer)
    send_a_nights_mail(instance)
    try:
        lab(instance, "inject", "start", "--people", str(CHANGED))
        with measured.part("day"):
            runs["migrate"] = run_day(instance, rest, tell, answerer)
    finally:
        lab(instance, "inject", "stop")
    seen |= pages.after_the_day(instance, rest)
    tell("counting where each message is")
    summary = summarise(instance, rest, runs, answerer.given, seconds=time.monotonic() - tell.began)
    kept = ("outage_seconds", "accounts", "folders", "messages", "injected", "delivered_once", "good", "lost",
            "duplicated", "phases")  # fmt: skip
    own = {"parts": measured.parts, "questions": len(answerer.given), "pages": seen}
    own["forecast"] = last_forecast(Home(instance))
    return own | {name: summary[name] for name in kept}


def decide(
    instance: Instance, rest: Rest, tell: Teller, answerer: Answerer, accounts: int
) -> tuple[str, pages.Seconds]:
    """The DAG `problems` for those who are decided about before the day; how long its pages take while all wait."""
    from bascule.ledger import Ledger

    chosen = [*DECIDED_BEFORE, *ordinary(instance)[: accounts * PROBLEMS // 100]]
    run = rest.trigger("problems", {"accounts": ", ".join(chosen)})
    deadline = time.monotonic() + ASKED_SECONDS
    while len(rest.questions()) < len(chosen) and time.monotonic() < deadline:
        time.sleep(1)
    seen = pages.while_it_asks(instance, rest)
    follow(rest, Ledger(Home(instance).ledger_url), [("problems", run)], tell, answerer)
    return run, seen


def last_forecast(home: Home) -> dict[str, Any]:
    """What the freeze told before it began: seconds of the outage without people's answers, and by what."""
    from bascule.ledger import Ledger, journal
    from bascule.tasks.forecast import KIND

    return journal.entries(Ledger(home.ledger_url), kind=KIND)[-1].after or {}


def refuse(instance: Instance, number: int) -> None:
    """Give so many people a folder whose name new refuses."""
    stores = Stores(instance)
    for account in ordinary(instance)[:number]:
        writer = stores.writer("old", account)
        writer.create(REFUSED)
        writer.close()


def send_a_nights_mail(instance: Instance) -> None:
    """So much of the mail comes anew, through the MX."""
    held = inventory.read(instance)
    wanted = len(inject.accepted(instance)) + (held.messages if held else 0) * MAIL // 100
    lab(instance, "inject", "start", "--rate", str(RATE), "--people", str(CHANGED))
    while len(inject.accepted(instance)) < wanted:
        time.sleep(1)
    lab(instance, "inject", "stop")


def inside(instance: Instance, *words: str) -> None:
    """Run this module once more, in the site's network."""
    command = [sys.executable, "-m", "benchmarks.day", *words]
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT / 'plugins'}:{CHECKOUT}"}
    subprocess.run(joined(instance, command), cwd=CHECKOUT, env=environment, check=True)


# -- the tables


def tables(found: list[dict[str, Any]]) -> list[str]:
    """What was measured, as it stands in docs/performance.md."""
    day = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    lines = [f"Measured on {day} UTC with {os.cpu_count()} cores, which carry all ten hosts, too.", ""]
    lines += [
        "| accounts | outage s | of which an answer was waited for | forecast s | day s | `prepare` s | the second s | "
        "mailboxes with a task on the day | an act, median s | lost, twice | load |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        seconds = {name: part["seconds"] for name, part in one["parts"].items()}
        tasks = sum(task["task"] == "mailbox.sync" for task in one["phases"]["transfer"])
        acts = sorted(act_seconds(one))
        lines.append(
            f"| {one['accounts']} | {one['outage_seconds']:.0f} | {answer_seconds(one):.0f} | "
            f"{one['forecast']['seconds']} | {seconds['day']:.0f} | {seconds['prepare']:.0f} | "
            f"{seconds['second prepare']:.0f} | {tasks} | {acts[len(acts) // 2]:.1f} | "
            f"{len(one['lost'])}, {len(one['duplicated'])} | {one['parts']['day']['load']:.0f} |"
        )
    kinds = sorted({kind for one in found for kind in one["parts"]["day"]["cpu"]})
    lines += ["", f"| accounts | part | CPU s | by mailbox | {' | '.join(kinds)} | memory MB |",
              f"|---|---|---|---|{'---|' * len(kinds)}---|"]  # fmt: skip
    for one in found:
        for name, part in one["parts"].items():
            total = sum(part["cpu"].values())
            each = " | ".join(f"{part['cpu'].get(kind, 0):.0f}" for kind in kinds)
            lines.append(
                f"| {one['accounts']} | {name} | {total:.0f} | {total / one['accounts']:.2f} | {each} | "
                f"{sum(part['memory'].values())} |"
            )
    return [*lines, "", *pages.table({one["accounts"]: one["pages"] for one in found}), "", *slopes(found)]


def answer_seconds(one: dict[str, Any]) -> float:
    """For how long the go in the outage waited for a person."""
    waits = [task for task in one["phases"]["cutover"] if task["task"] == GO]
    return sum((moment(task["end"]) - moment(task["start"])).total_seconds() for task in waits)


def act_seconds(one: dict[str, Any]) -> Iterator[float]:
    """From the end of the last task that each act may have waited for to the act's end."""
    for phase in ACTS:
        acts = [
            (moment(task["start"]), moment(task["end"]))
            for task in one["phases"][phase]
            if task["task"] not in FOR_PEOPLE
        ]
        for start, end in acts:
            before = max((ended for _, ended in acts if ended <= start), default=None)
            if before is not None:
                yield (end - before).total_seconds()


def moment(text: str) -> datetime:
    return datetime.fromisoformat(re.sub(r"Z$", "+00:00", text))


def slopes(found: list[dict[str, Any]]) -> Iterator[str]:
    """What each mailbox more costs, from one size to the next."""
    for less, more in pairwise(found):
        number = more["accounts"] - less["accounts"]
        outage = (more["outage_seconds"] - less["outage_seconds"]) / number
        cpu = [sum(one["parts"]["day"]["cpu"].values()) for one in (less, more)]
        yield (
            f"- From {less['accounts']} to {more['accounts']} accounts: {outage:.2f} s of outage and "
            f"{(cpu[1] - cpu[0]) / number:.2f} CPU s of Airflow and the databases for each mailbox more."
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("accounts", nargs="*", type=int, default=SIZES)
    parser.add_argument("--print", action="store_true", help="leave docs/performance.md alone")
    parser.add_argument("--keep", action="store_true", help="leave the last site and its Airflow running")
    parser.add_argument("--refuse", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    instance = Instance(NAME)
    if given.refuse is not None:
        refuse(instance, given.refuse)
        return 0
    found = []
    for accounts in given.accounts:
        found.append(measure(accounts))
        path = CHECKOUT / "var" / f"day-{accounts}.json"
        path.write_text(json.dumps(found[-1], indent=1, default=str))
        if not given.keep:
            bring_down(instance, purge=True)
    lines = tables(found)
    print("\n".join(lines))
    if not given.print:
        write_page(lines, BEGIN, END)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The whole way at several sizes: `prepare`, decisions, `prepare` again, a night's changes, the day.

`python -m benchmarks.day 24 200 1000` boots a practice site of its own (`bench-day`) for each number of accounts and
writes its tables into docs/performance.md. Everything that was seen goes to var/day-NUMBER.json. What the tables are
made from is kept in benchmarks/figures, in git, so that they keep the rows of sizes that are not measured this time.
The exit status is 1 when anything was not good at one of the sizes.

5 of 100 mailboxes have problems that are decided before, five ask on the day; 1 % of the mail comes between `prepare`
and the day, for 30 % of the people, and more while the day goes on. Meanwhile somebody whose mailbox has no problem
logs in from outside again and again.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import day_table, first_copy, pages
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
from lab.measure import cost, from_outside, inject
from lab.measure.summary import summarise
from lab.paths import CHECKOUT, Instance

NAME, SEED, PORT = "bench-day", 3, 8480
SIZES = (24, 200, 1000)
MOST_BY_PREPARE = 1000  # accounts; the first copy of more takes hours by the DAG, and is made by command lines
PROBLEMS = 5  # percent of the mailboxes: of a thousand, a page of questions
CHANGED = 30  # percent of the people who get mail in a night
MAIL = 1  # percent of the mail that comes in it
REFUSED = "INBOX.~à trier"  # a folder whose name new refuses
RATE = 10  # messages a second, of a night
SAMPLE_SECONDS = 10  # a look at the memory of all processes costs a tenth of a second and more
ASKED_SECONDS, EACH_ASKED_SECONDS = 90, 2  # until all of those questions wait: at most, and for each of them
KEPT = (
    "outage_seconds", "accounts", "folders", "messages", "injected", "delivered_once", "good", "lost", "duplicated",
    "misplaced", "waiting", "only_on_old", "unseen", "functional_tests", "journal_holds", "isolation", "phases",
)  # fmt: skip
BEGIN, END = "<!-- day: begin -->", "<!-- day: end -->"
SEEN, FIGURES = CHECKOUT / "var", CHECKOUT / "benchmarks" / "figures"


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
    own: dict[str, Any] = {"began": utc(), "cores": os.cpu_count()}
    bring_up_site(instance, tell, accounts=accounts, seed=SEED)
    user = ordinary(instance)[-1]  # whose mailbox has no problem
    from_outside.check(instance, user)
    inside(instance, "--refuse", str(accounts * PROBLEMS // 100))
    rest = bring_up_airflow(instance, tell, port=free_port(PORT))
    answerer = Answerer(rest, read_rules(ANSWERS), instance)
    measured = Measured(Home(instance))
    if accounts > MOST_BY_PREPARE:
        with measured.part("first copy"):
            first_copy.by_command_lines(instance, tell)
    with measured.part("prepare"):
        runs = {"prepare": run_prepare(instance, rest, tell, answerer)}
    seen = pages.after_prepare(instance, rest, runs["prepare"])
    with measured.part("problems"):
        runs["problems"], asked = decide(instance, rest, tell, answerer, accounts)
    lab(instance, "meanwhile")
    send_a_nights_mail(instance)
    with measured.part("second prepare"):
        run_prepare(instance, rest, tell, answerer)
    send_a_nights_mail(instance)
    try:
        lab(instance, "inject", "start", "--people", str(CHANGED))
        with from_outside.watched(instance, user) as said, measured.part("day"):
            runs["migrate"] = run_day(instance, rest, tell, answerer)
    finally:
        lab(instance, "inject", "stop")
    seen |= asked | pages.after_the_day(instance, rest)
    tell("counting where each message is")
    summary = summarise(instance, rest, runs, answerer.given, seconds=time.monotonic() - tell.began)
    own |= {"ended": utc(), "parts": measured.parts, "questions": len(answerer.given), "pages": seen}
    own |= {"forecast": last_forecast(Home(instance)), "outside": asdict(from_outside.read(said))}
    own |= {name: summary[name] for name in KEPT}
    own["differences"] = [*summary["audit"]["differences"], *summary["audit"]["beta_lost"]]
    return own | {"figures": day_table.figures(own)}


def utc() -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime())


def commit() -> str:
    """The short hash of what runs here, and whether more than documents differs from it. Empty outside of a clone."""
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
    return git("rev-parse", "--short", "HEAD") + (" and changes" if changed else "")


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=CHECKOUT, capture_output=True, text=True, check=False).stdout.strip()


def decide(
    instance: Instance, rest: Rest, tell: Teller, answerer: Answerer, accounts: int
) -> tuple[str, pages.Seconds]:
    """The DAG `problems` for those who are decided about before the day; how long its pages take while all wait."""
    from bascule.ledger import Ledger

    chosen = [*DECIDED_BEFORE, *ordinary(instance)[: accounts * PROBLEMS // 100]]
    run = rest.trigger("problems", {"accounts": ", ".join(chosen)})
    deadline = time.monotonic() + max(ASKED_SECONDS, EACH_ASKED_SECONDS * len(chosen))
    while len(rest.questions()) < len(chosen) and time.monotonic() < deadline:
        time.sleep(1)
    seen = pages.while_it_asks(instance, rest)
    follow(rest, Ledger(Home(instance).ledger_url), [("problems", run)], tell, answerer)
    return run, seen


def last_forecast(home: Home) -> dict[str, Any]:
    """What the freeze told before it began: seconds of the outage without people's answers, and by what."""
    from bascule.ledger import Ledger, outage
    from bascule.views.forecast import noted

    ledger = Ledger(home.ledger_url)
    note = noted(ledger, outage.of_day(ledger))
    return (note.after if note else None) or {}


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("accounts", nargs="*", type=int, default=SIZES)
    parser.add_argument("--print", action="store_true", help="leave docs/performance.md and the figures alone")
    parser.add_argument("--keep", action="store_true", help="leave the last site and its Airflow running")
    parser.add_argument("--refuse", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    instance = Instance(NAME)
    if given.refuse is not None:
        refuse(instance, given.refuse)
        return 0
    code, bad = commit(), {}
    found = {one["accounts"]: one for one in day_table.read(FIGURES)}
    for accounts in given.accounts:
        one = {"commit": code, **measure(accounts)}
        keep(SEEN, one)
        if not given.keep:
            bring_down(instance, purge=True)
        found[accounts] = one
        lines = day_table.tables([found[size] for size in sorted(found)])
        if not given.print:  # after each size: the next one takes hours
            keep(FIGURES, {name: one[name] for name in one if name != "phases"})  # the times of thousands of tasks
            write_page(lines, BEGIN, END)
        if words := day_table.wrong(one):
            bad[accounts] = words
    print("\n".join(lines))
    for accounts, words in bad.items():
        print(f"NOT good at {accounts} accounts (var/day-{accounts}.json): {'; '.join(words)}", file=sys.stderr)
    return 1 if bad else 0


def keep(folder: Path, one: dict[str, Any]) -> None:
    """Write down what was measured at one size."""
    folder.mkdir(exist_ok=True)
    path = folder / f"day-{one['accounts']}.json"
    path.write_text(json.dumps(one, indent=1, default=str) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

"""Many accounts move to new, some at once, and back, while all of their users work and numbered mail comes.

`python -m benchmarks.moves 50 8` boots a practice site of its own (`bench-moves`), copies the mailboxes while everybody
works already (as `prepare` does), then runs eight `python -m bascule.moves move` beside each other, each with its share
of the accounts. Mail programs (lab/measure/programs.py) measure, and count afterwards; of Bascule's ledger only this is
asked: when mail was held. The table and the plot go into docs/moves.md; all figures to var/moves-NUMBER.json.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bascule.ledger import Ledger

from benchmarks.plots import Curve, Panel, draw
from lab.airflow.following import Teller
from lab.airflow.processes import Home, environment
from lab.corpus.inventory import ordinary
from lab.corpus.people import MINIMUM
from lab.demo import bring_down, bring_up_site
from lab.hosts.network import joined
from lab.measure import at_work
from lab.measure.moved import AIMS, TITLES, figures, rows_of, table
from lab.paths import CHECKOUT, SITE_FILE, Instance

NAME, SEED = "bench-moves", 3
PAGE, PICTURE = CHECKOUT / "docs" / "moves.md", CHECKOUT / "docs" / "pictures" / "moves.svg"
BEGIN, END = "<!-- moves: begin -->", "<!-- moves: end -->"
PAUSE, MAIL_PAUSE = 1.0, 0.1  # seconds between the acts of a program, and between two messages
ACTS = 100  # a second, of all programs together at most: two cores serve no more beside the moves
SETTLED_SECONDS = 5
LOAD_EVERY = 5.0
COLUMNS = {"new": ("to new", "#1f6fb4"), "old": ("back to old", "#c2571a")}


class Load:
    """The machine's load during the block, seen every few seconds."""

    def __init__(self) -> None:
        self.seen: list[float] = [os.getloadavg()[0]]

    @contextmanager
    def watched(self) -> Iterator[None]:
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(LOAD_EVERY):
                self.seen.append(os.getloadavg()[0])

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def measure(instance: Instance, tell: Teller, accounts: int, at_once: int) -> dict[str, Any]:
    """All of it on a filled site. Raises LabError and CalledProcessError."""
    names, home = ordinary(instance)[:accounts], Home(instance)
    home.path.mkdir(parents=True, exist_ok=True)
    home.database.start()
    ledger = Ledger(home.ledger_url)
    found: dict[str, Any] = {"accounts": len(names), "at_once": at_once, "began": time.strftime("%Y-%m-%d %H:%M")}
    for to in COLUMNS:
        load, before = Load(), rows_of(ledger)
        pause = max(PAUSE, len(names) / ACTS)
        with at_work.at_work(instance, names, pause=pause, mail_pause=MAIL_PAUSE):
            tell(f"{len(names)} programs work, each act {pause:.0f} s after the last one")
            if to == "new":
                tell(f"all mailboxes are copied; said: {copy(instance, names, at_once)}")
            began = time.monotonic()
            with load.watched():
                refused = move(instance, names, to, at_once)
            seconds = time.monotonic() - began
            tell(f"to {to}: {len(names)} moves in {seconds:.0f} s; not moved: {refused}")
            time.sleep(SETTLED_SECONDS)
        verdict = at_work.count(instance)
        tell(f"counted: {len(verdict.lost)} lost, {len(verdict.doubled)} doubled, {len(verdict.undone)} undone")
        found[to] = {
            "seconds": round(seconds, 1), "load": [min(load.seen), max(load.seen)], "not_moved": refused,
            **figures(instance, ledger, verdict, before),
        }  # fmt: skip
    return found


def copy(instance: Instance, names: list[str], at_once: int) -> list[str]:
    """So many command lines beside each other. Returns what they said on standard error."""
    shares = [[f"--account={name}" for name in names[first::at_once]] for first in range(at_once)]
    return beside(instance, [("mailbox", "--site", str(SITE_FILE), *share, "sync") for share in shares if share])


def move(instance: Instance, names: list[str], to: str, at_once: int) -> list[str]:
    """So many command lines beside each other. Returns what they said on standard error."""
    return beside(instance, [("moves", "move", "--to", to, *names[first::at_once]) for first in range(at_once)])


def beside(instance: Instance, commands: list[tuple[str, ...]]) -> list[str]:
    processes = [
        subprocess.Popen(
            command(instance, *words), cwd=CHECKOUT, env=environment_of(instance), stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )
        for words in commands
    ]  # fmt: skip
    return [line for process in processes for line in process.communicate()[1].splitlines()]


def command(instance: Instance, room: str, *words: str) -> list[str]:
    return joined(instance, [sys.executable, "-m", f"bascule.{room}", *words])


def environment_of(instance: Instance) -> dict[str, str]:
    return environment(Home(instance), port=0, site_file=SITE_FILE)


def page(found: dict[str, Any]) -> list[str]:
    """What was measured, as it stands in docs/moves.md."""
    loads = " and ".join(f"{found[to]['load'][0]:.0f} to {found[to]['load'][1]:.0f}" for to in COLUMNS)
    seconds = " and ".join(f"{found[to]['seconds']:.0f} s" for to in COLUMNS)
    return [
        f"{found['accounts']} accounts to new and back, {found['at_once']} at once, on {found['began']} UTC: "
        f"{seconds}. "
        f"{os.cpu_count()} cores carry the practice site's ten hosts, the programs and Bascule; load {loads}.",
        "",
        *table({title: found[to] for to, (title, _) in COLUMNS.items()}),
    ]


def picture(found: dict[str, Any]) -> str:
    """The distributions."""
    panels = []
    for what, title in TITLES.items():
        curves = [Curve(name, colour, found[to][what]) for to, (name, colour) in COLUMNS.items()]
        panels.append(Panel(title, curves, AIMS[what]))
    return draw(panels)


def write_page(lines: list[str]) -> None:
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    tail = rest.partition(END)[2]
    PAGE.write_text("\n".join([head + BEGIN, "", *lines, "", END]) + tail, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("accounts", nargs="?", type=int, default=50)
    parser.add_argument("at_once", nargs="?", type=int, default=8)
    parser.add_argument("--site", help="a filled practice site that is up already, and stays")
    parser.add_argument("--print", action="store_true", help="leave docs/moves.md and its picture alone")
    asked = parser.parse_args()
    instance, tell = Instance(asked.site or NAME), Teller()
    if not asked.site:
        bring_up_site(instance, tell, accounts=asked.accounts + MINIMUM, seed=SEED)
    try:
        found = measure(instance, tell, asked.accounts, asked.at_once)
    finally:
        if not asked.site:
            bring_down(instance, purge=True)
    path: Path = CHECKOUT / "var" / f"moves-{asked.accounts}.json"
    path.write_text(json.dumps(found, indent=1))
    lines = page(found)
    print("\n".join(lines))
    if not asked.print:
        write_page(lines)
        PICTURE.write_text(picture(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

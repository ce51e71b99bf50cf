"""The first copy of all mailboxes, calendars and address books by command lines, several beside each other.

For sizes at which the DAG `prepare` takes hours for it. What it leaves in the ledger is the same: the pass over each
mailbox is the one that its task makes.
"""

import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.moves import command, environment_of
from lab.airflow.following import Teller
from lab.airflow.processes import MAILBOXES_AT_ONCE
from lab.corpus import inventory
from lab.paths import CHECKOUT, SITE_FILE, Instance

TOLD_SECONDS = 30  # between two lines of progress
SAID = CHECKOUT / "var"


def by_command_lines(instance: Instance, tell: Teller) -> None:
    """Run them to their end, and tell how each ended: what one leaves undone is found by the next `prepare`."""
    held = inventory.read(instance)
    names = sorted(held.accounts) if held else []
    commands: list[tuple[str, ...]] = [("calendars", "sync")]
    for first in range(MAILBOXES_AT_ONCE):
        accounts = [word for name in names[first::MAILBOXES_AT_ONCE] for word in ("--account", name)]
        commands.append(("mailbox", "sync", "--site", str(SITE_FILE), *accounts))
    SAID.mkdir(exist_ok=True)
    logs = [SAID / f"first-copy-{number}.log" for number in range(len(commands))]
    with ExitStack() as opened:
        running = []
        for words, log in zip(commands, logs, strict=True):
            said = opened.enter_context(log.open("wb"))
            running.append(_begun(instance, words, said.fileno()))
        told = time.monotonic()
        while any(process.poll() is None for process in running):
            time.sleep(1)
            if time.monotonic() - told > TOLD_SECONDS:
                told = time.monotonic()
                tell(f"first copy: mailboxes {_done(logs[1:])} of {len(names)}, beside calendars")
    ends = ", ".join(f"{words[0]} {process.returncode}" for words, process in zip(commands, running, strict=True))
    tell(f"first copy: mailboxes {_done(logs[1:])} of {len(names)}; exit status of each command line: {ends}")


def _begun(instance: Instance, words: tuple[str, ...], said: int) -> subprocess.Popen[bytes]:
    own = {**environment_of(instance), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command(instance, *words), cwd=CHECKOUT, env=own, stdout=said, stderr=subprocess.STDOUT)


def _done(logs: list[Path]) -> int:
    """Passes that are told, each in a line of its own."""
    return sum(log.read_bytes().count(b": copied ") for log in logs)

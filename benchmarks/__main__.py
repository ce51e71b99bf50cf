"""All benchmarks, or those named (`python -m benchmarks memory filters`); their tables go to docs/."""

import subprocess
import sys
from collections.abc import Callable

from lab.airflow.following import Teller
from lab.demo import bring_down, bring_up_site
from lab.hosts.network import joined
from lab.paths import CHECKOUT, Instance

CALENDAR_ACCOUNTS = 200
SEED = 3


def mailbox() -> None:
    """The sync engine beside mbsync and dsync, on two Dovecot of its own."""
    run([sys.executable, "-m", "benchmarks.mailbox"])


def uids() -> None:
    """First copies that keep UIDs beside those that don't, on two Dovecot of its own."""
    run([sys.executable, "-m", "benchmarks.uids"])


def memory() -> None:
    """The sync engine's memory with half a million messages in one folder."""
    run([sys.executable, "-m", "benchmarks.memory"])


def growth() -> None:
    """Many folders, and many messages in one, in three sizes each."""
    run([sys.executable, "-m", "benchmarks.growth"])


def filters() -> None:
    """A thousand Sieve filters, on a practice site of its own."""
    run([sys.executable, "-m", "benchmarks.filters"])


def calendars() -> None:
    """Ten thousand events of two hundred people, beside vdirsyncer."""
    instance = Instance("bench-calendars")
    bring_up_site(instance, Teller(), accounts=CALENDAR_ACCOUNTS, seed=SEED)
    try:
        run(joined(instance, [sys.executable, "-m", "benchmarks.calendars", instance.name]))
    finally:
        bring_down(instance, purge=True)


def day() -> None:
    """Prepare and the day, with all of Airflow, at several sizes."""
    run([sys.executable, "-m", "benchmarks.day"])


def moves() -> None:
    """Fifty accounts to new and back, eight at once, while all of their users work."""
    run([sys.executable, "-m", "benchmarks.moves"])


def run(command: list[str]) -> None:
    subprocess.run(command, cwd=CHECKOUT, check=True)


BENCHMARKS: dict[str, Callable[[], None]] = {
    "mailbox": mailbox,
    "uids": uids,
    "memory": memory,
    "growth": growth,
    "filters": filters,
    "calendars": calendars,
    "day": day,
    "moves": moves,
}


def main(names: list[str]) -> int:
    if unknown := set(names) - set(BENCHMARKS):
        print(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
        return 2
    for name in names or BENCHMARKS:
        BENCHMARKS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

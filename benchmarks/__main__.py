"""All benchmarks, or those named (`python -m benchmarks memory filters`); their tables go to docs/.

`python -m benchmarks day --sizes 24 3000` measures the day at these numbers of accounts instead of the usual ones.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence

from lab.airflow.following import Teller
from lab.demo import bring_down, bring_up_site
from lab.hosts.network import joined
from lab.paths import CHECKOUT, Instance

CALENDAR_ACCOUNTS = 200
KILLED_ACCOUNTS = 200
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


def day(sizes: Sequence[int] = ()) -> None:
    """Prepare and the day, with all of Airflow, at several sizes."""
    run([sys.executable, "-m", "benchmarks.day", *map(str, sizes)])


def killed(sizes: Sequence[int] = ()) -> None:
    """A day in whose transfer a task, the scheduler and the API server are killed. It writes no table."""
    for size in sizes or (KILLED_ACCOUNTS,):
        run([sys.executable, "-m", "benchmarks.killed", str(size)])


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
OF_ANY_SIZE = {"day": day, "killed": killed}
ONLY_BY_NAME: dict[str, Callable[[], None]] = {"killed": killed}


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 1 when a benchmark failed or what it counted was not good, 2 for a wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    known = BENCHMARKS | ONLY_BY_NAME
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(known)}; without: all but killed")
    parser.add_argument("--sizes", nargs="+", type=int, default=[], help="accounts, for day and killed")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.names) - set(known):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if asked.sizes and (others := set(asked.names or BENCHMARKS) - set(OF_ANY_SIZE)):
        parser.error(f"sizes are for {' and '.join(OF_ANY_SIZE)}, not for {', '.join(sorted(others))}")
    failed = [name for name in asked.names or BENCHMARKS if not ended_well(name, asked.sizes)]
    if failed:
        print(f"benchmarks: NOT good: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def ended_well(name: str, sizes: Sequence[int]) -> bool:
    """Run one; the others are run whatever became of it."""
    try:
        if name in OF_ANY_SIZE:
            OF_ANY_SIZE[name](sizes)
        else:
            BENCHMARKS[name]()
    except subprocess.CalledProcessError as error:
        print(f"benchmarks: {name}: {error}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

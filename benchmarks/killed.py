"""A day in whose transfer a task's process, the scheduler and the API server are killed: does it go on by itself?

`python -m benchmarks.killed 200` boots a practice site of its own (`bench-killed`), and prints how long it took, from
the kill or from Airflow's return, until the next mailbox was done; at the end every message is looked for. On the
practice site all of Airflow ends with one of its processes: it is begun again at once, as a service manager would.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks import day
from lab.airflow import processes
from lab.airflow.answering import Answerer, read_rules
from lab.airflow.following import ENDED, SYNC, Teller
from lab.airflow.processes import Home, Rest
from lab.demo import ANSWERS, bring_down, bring_up_airflow, bring_up_site, free_port, lab, run_day, run_prepare
from lab.measure.summary import print_summary, summarise
from lab.paths import Instance

NAME, PORT = "bench-killed", 8481
DAG = "transfer"
AIM = 60.0  # seconds until the day goes on
DONE_BEFORE = 5  # mailboxes of the run that have ended before each kill


@dataclass
class Killer:
    """Kills one after the other, each when some more mailboxes are done."""

    rest: Rest
    home: Home
    tell: Teller
    left: list[tuple[str, Callable[[str], bool]]] = field(init=False)
    seconds: dict[str, float] = field(default_factory=dict)  # of each kill, until the day went on
    _done: int = 0
    _since: tuple[str, float] | None = None

    def __post_init__(self) -> None:
        self.left = [
            ("task", self._kill_task),
            ("scheduler", lambda run: self._kill_airflow("airflow scheduler")),
            ("API server", lambda run: self._kill_airflow("airflow api_server")),
        ]

    def look(self, run: str) -> None:
        """At every look of the day."""
        if self.rest.run_state(DAG, run) != "running":
            return
        done = self.rest.mapped(DAG, run, SYNC, *ENDED)
        if self._since is not None and done > self._done:
            what, began = self._since
            self.seconds[what], self._since = round(time.monotonic() - began, 1), None
            self.tell(f"the day goes on {self.seconds[what]} s after the {what} was killed, or was there again")
        if self._since is None and self.left and done >= self._done + DONE_BEFORE:
            what, kill = self.left[0]
            if kill(run):
                self.left.pop(0)
                self._done, self._since = self.rest.mapped(DAG, run, SYNC, *ENDED), (what, time.monotonic())

    def _kill_task(self, run: str) -> bool:
        """The process of one mailbox under way."""
        for task in self.rest.tasks(DAG, run, "running"):
            if task["task_id"] == SYNC and task["pid"]:
                try:
                    psutil.Process(task["pid"]).kill()
                except psutil.NoSuchProcess:
                    continue
                self.tell(f"killed the task of {task['rendered_map_index']}")
                return True
        return False

    def _kill_airflow(self, words: str) -> bool:
        """The process with these words in its command; the others end with it, and all are begun again."""
        of_airflow = psutil.Process(int(self.home.pid_file.read_text())).children(recursive=True)
        found = (each for each in of_airflow if words in " ".join(each.cmdline()) and each.name() != "sh")
        if (process := next(found, None)) is None:
            return False
        process.kill()
        self.tell(f"killed {words}; Airflow is begun again")
        processes.stop(self.home)
        started = json.loads((self.home.path / "environment.json").read_text())
        self.home.database.start()
        processes.start(self.home, port=started["port"], site_file=Path(started["site_file"]))
        self.rest.wait_until_healthy()
        return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("accounts", nargs="?", type=int, default=200)
    accounts = parser.parse_args().accounts
    instance, tell = Instance(NAME), Teller()
    bring_up_site(instance, tell, accounts=accounts, seed=day.SEED)
    rest = bring_up_airflow(instance, tell, port=free_port(PORT))
    answerer, killer = Answerer(rest, read_rules(ANSWERS), instance), Killer(rest, Home(instance), tell)
    kills = len(killer.left)
    runs = {"prepare": run_prepare(instance, rest, tell, answerer)}
    lab(instance, "meanwhile")
    day.send_a_nights_mail(instance)
    lab(instance, "inject", "start", "--people", str(day.CHANGED))
    try:
        runs["migrate"] = run_day(instance, rest, tell, answerer, killer.look)
    finally:
        lab(instance, "inject", "stop")
    summary = summarise(instance, rest, runs, answerer.given, seconds=time.monotonic() - tell.began)
    print_summary(summary)
    print(json.dumps({"until the day went on, s": killer.seconds, "not killed": [what for what, _ in killer.left]}))
    bring_down(instance, purge=True)
    in_time = len(killer.seconds) == kills and all(seconds <= AIM for seconds in killer.seconds.values())
    return 0 if summary["good"] and in_time else 1


if __name__ == "__main__":
    sys.exit(main())

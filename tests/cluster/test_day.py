"""The whole day on the cluster, with everything killed once in the middle of it; what each crash cost, in one table.

Of the deep tests (`make test-deep`): it takes the time of a day, and the machine for itself.
"""

import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from bascule.ledger import journal

from lab import demo
from lab.airflow.answering import Answerer, read_rules
from lab.airflow.following import PHASES, follow
from lab.cluster.machine import PLACE, open_ledger
from lab.measure.summary import print_summary, summarise
from lab.shell import lab
from tests.cluster import clock
from tests.cluster.conftest import DEEP, Cluster, until

pytestmark = pytest.mark.skipif(not DEEP, reason="BASCULE_TEST_DEPTH=full runs the day with all its faults")
LOGS = "/opt/bascule/logs"
WRITE_LOGS = "scheduler dag-processor triggerer worker"  # services


@dataclass
class Fault:
    """What is done to the cluster while a task is at work, and how long the day may stand still for it."""

    name: str
    phase: str  # from which on it is made
    task: str  # what the task's name has in it, in this phase
    limit: float  # seconds
    make: Callable[[Cluster, dict[str, Any]], None]
    mend: Callable[[Cluster], None] | None = None  # of a fault that lasts, until the next one is made
    made_at: float = 0
    load: str = ""  # of the machine, when it was made
    seconds: float | None = None
    subject: dict[str, Any] = field(default_factory=dict)  # the task that was under way
    begun: set[tuple[str, ...]] = field(default_factory=set)  # what had begun before


def kill(service: str) -> Callable[[Cluster, dict[str, Any]], None]:
    def make(cluster: Cluster, _: dict[str, Any]) -> None:
        cluster.kill(cluster.machine.compose(f"ps --quiet {service}").split()[0])

    return make


def keep_away(service: str, seconds: int) -> Callable[[Cluster, dict[str, Any]], None]:
    """The engine begins it again: Compose would run `init` before, for another half minute on a busy machine."""

    def make(cluster: Cluster, _: dict[str, Any]) -> None:
        stop, start = f"docker compose stop --timeout 0 {service}", f"docker start $(docker compose ps -aq {service})"
        cluster.machine.shell(f"cd {PLACE} && {stop} && sleep {seconds} && {start}")

    return make


def kill_its_worker(cluster: Cluster, task: dict[str, Any]) -> None:
    cluster.kill(task["hostname"])


def reboot(cluster: Cluster, _: dict[str, Any]) -> None:
    before = cluster.machine.shell("cat /proc/sys/kernel/random/boot_id; systemctl show --property=UserspaceTimestamp")
    cluster.machine.shell("systemd-run --quiet --on-active=1 systemctl reboot")

    def again() -> bool:
        try:
            now = cluster.machine.shell(
                "cat /proc/sys/kernel/random/boot_id; systemctl show --property=UserspaceTimestamp"
            )
        except Exception:
            return False
        return now != before

    until(again, 200, "the machine has rebooted")


def fill_the_logs(cluster: Cluster, _: dict[str, Any]) -> None:
    """A small disk over that of the logs, full, where the services see it; this machine's own is left alone."""
    small = f"mount -t tmpfs -o size=16k,nr_inodes=12,mode=777 full {LOGS}"  # files can be made for a while
    in_what_writes_logs(cluster, f"{small} && {{ cat /dev/zero > {LOGS}/filled 2> /dev/null || true; }}")


def free_the_logs(cluster: Cluster) -> None:
    """Where it is still there: a container that has begun again meanwhile has its volume back."""
    in_what_writes_logs(
        cluster, f"! grep -q ' {LOGS} tmpfs ' /proc/mounts || mount -o remount,size=64m,nr_inodes=100k {LOGS}"
    )


def in_what_writes_logs(cluster: Cluster, line: str) -> None:
    each = f"for c in $(docker compose ps --quiet {WRITE_LOGS}); do {{}}; done"
    enter = "nsenter --mount --target $(docker inspect --format '{{.State.Pid}}' $c) sh -c " + shlex.quote(line)
    cluster.machine.shell(f"cd {PLACE} && {each.format(enter)}")


def set_the_clock_back(cluster: Cluster, _: dict[str, Any]) -> None:
    clock.set_back(cluster.machine, 60)


FAULTS = (
    Fault("scheduler killed", "freeze", "", 60, kill("scheduler")),
    Fault("API server killed", "freeze", "", 60, kill("api-server")),
    Fault("disk of the logs full", "freeze", "", 60, fill_the_logs, free_the_logs),
    *(
        Fault(f"API server away for {seconds} s", "transfer", "", seconds + 60, keep_away("api-server", seconds))
        for seconds in (20, 60, 180)
    ),
    Fault("worker killed", "transfer", "mailbox.sync", 90, kill_its_worker),
    Fault("PostgreSQL killed", "transfer", "mailbox.sync", 60, kill("postgres")),
    Fault("Redis killed", "transfer", "", 60, kill("redis")),
    Fault("triggerer killed", "transfer", "", 60, kill("triggerer")),
    Fault("machine rebooted", "cutover", "", 180, reboot),
    Fault("clock set back by a minute", "cutover", "", 60, set_the_clock_back),
)


@dataclass
class Faults:
    """Makes one fault after the other as the day goes on; called at every look at it."""

    cluster: Cluster
    run: str
    left: list[Fault]
    done: list[Fault] = field(default_factory=list)

    def look(self) -> None:
        last = self.done[-1] if self.done else None
        if last and last.seconds is None:
            self._look_whether_it_goes_on(last)
        elif self.left and (task := self._at_work(self.left[0])):
            if last and last.mend:
                last.mend(self.cluster)
            self._make(self.left.pop(0), task)

    def _at_work(self, fault: Fault) -> dict[str, Any] | None:
        """The task at whose work the fault is made; when its phase went by without one, any of a later phase."""
        for dag in PHASES[PHASES.index(fault.phase) :]:
            if self.cluster.rest.run_state(dag, self.run) == "running":
                for task in self.cluster.rest.tasks(dag, self.run):
                    if task["state"] == "running" and (dag != fault.phase or fault.task in task["task_id"]):
                        fault.phase = dag
                        return task
        return None

    def _make(self, fault: Fault, task: dict[str, Any]) -> None:
        fault.load = Path("/proc/loadavg").read_text().split()[0]
        self.cluster.tell(f"fault: {fault.name}, while {fault.phase}.{task['task_id']} is at work (load {fault.load})")
        fault.begun = {turn(dag, found) for dag, found in self._tasks()}
        fault.made_at, fault.subject = time.monotonic(), task
        self.done.append(fault)
        fault.make(self.cluster, task)
        until(self._answers, 300, "the API answers again")
        open_ledger(self.cluster.machine)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.cluster.rest.base}/api/v2/version", timeout=5).is_success
        except httpx.HTTPError:
            return False

    def _look_whether_it_goes_on(self, fault: Fault) -> None:
        """It does when a task has begun since, and the one that was under way has ended or begun again.

        Under a fault that lasts, one that has begun since must have come to its good end.
        """
        tasks, cut_off = self._tasks(), fault.subject
        new = [task for dag, task in tasks if task["start_date"] and turn(dag, task) not in fault.begun]
        begun = any(not fault.mend or task["state"] == "success" for task in new)
        ended = any(
            dag == fault.phase
            and (task["task_id"], task["map_index"]) == (cut_off["task_id"], cut_off["map_index"])
            and (task["state"] not in AT_WORK or task in new)
            for dag, task in tasks
        )
        seconds = time.monotonic() - fault.made_at
        if begun and ended:
            fault.seconds = seconds
            self.cluster.tell(f"after {seconds:.0f} s the day goes on")
        elif fault.mend and seconds > fault.limit:
            fault.mend(self.cluster)

    def _tasks(self) -> list[tuple[str, dict[str, Any]]]:
        """All tasks of the day, with their phase."""
        dags = [dag for dag in PHASES if self.cluster.rest.run_state(dag, self.run)]
        return [(dag, task) for dag in dags for task in self.cluster.rest.tasks(dag, self.run)]


AT_WORK = ("running", "queued", "scheduled", "up_for_retry")


def turn(dag: str, task: dict[str, Any]) -> tuple[str, ...]:
    """A task in one of its turns: by no clock, since the cluster's is set back."""
    return (dag, task["task_id"], str(task["map_index"]), str(task["start_date"]))


@dataclass
class Day:
    faults: list[Fault]
    summary: dict[str, Any]


@pytest.fixture(scope="module")
def day(cluster: Cluster) -> Iterator[Day]:
    instance, tell = cluster.machine.instance, cluster.tell
    answerer = Answerer(cluster.rest, read_rules(demo.ANSWERS), instance)
    began = time.monotonic()
    lab(instance, "inject", "start")
    try:
        runs = {"prepare": demo.run_prepare(instance, cluster.rest, tell, answerer)}
        runs["problems"] = demo.run_problems(instance, cluster.rest, tell, answerer, demo.DECIDED_BEFORE)
        lab(instance, "meanwhile")
        runs["migrate"] = run = cluster.rest.trigger("migrate")
        faults = Faults(cluster, run, list(FAULTS))
        injecting = [True]

        def each() -> None:
            faults.look()
            if injecting[0] and cluster.rest.run_state("drain", run):
                lab(instance, "inject", "stop")
                injecting[0] = False

        followed = [("migrate", run), *((phase, run) for phase in PHASES)]
        follow(cluster.rest, cluster.ledger, followed, tell, answerer, each)
    finally:
        lab(instance, "inject", "stop")
    summary = summarise(instance, cluster.rest, runs, answerer.given, seconds=time.monotonic() - began)
    print_summary(summary)
    print("\n| fault | while | seconds | limit | load |\n|---|---|---|---|---|")
    for fault in faults.done:
        place = f"{fault.phase}.{fault.subject['task_id']}"
        print(f"| {fault.name} | `{place}` | {fault.seconds or float('nan'):.0f} | {fault.limit:.0f} | {fault.load} |")
    yield Day([*faults.done, *faults.left], summary)


def test_every_message_is_in_exactly_one_place(day: Day) -> None:
    assert day.summary["lost"] == [] and day.summary["duplicated"] == []
    assert day.summary["delivered_once"] == day.summary["injected"] > 0
    assert day.summary["audit"]["good"]


def test_the_day_came_to_its_good_end(day: Day, cluster: Cluster) -> None:
    assert day.summary["good"], {name: value for name, value in day.summary.items() if name != "where"}
    assert journal.broken_link(cluster.ledger) is None


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=[fault.name for fault in FAULTS])
def test_the_day_went_on_soon_after(day: Day, number: int) -> None:
    fault = day.faults[number]

    assert fault.seconds is not None, f"{fault.name}: not made, or the day ended before it went on"
    assert fault.seconds <= fault.limit


def test_what_a_full_disk_refused_of_the_logs_stands_in_that_of_the_containers(day: Day, cluster: Cluster) -> None:
    assert any(fault.mend and fault.seconds for fault in day.faults)
    assert f"{LOGS}/" in cluster.machine.compose('logs --no-color worker | grep "can\'t be written (No space left"')


@pytest.mark.usefixtures("day")
@pytest.mark.parametrize("service", clock.SERVICES)
def test_the_clock_was_set_back_for_every_service(cluster: Cluster, service: str) -> None:
    assert clock.seconds_behind(cluster.machine, service) == pytest.approx(60, abs=2)

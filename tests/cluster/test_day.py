"""The whole day on the cluster, with everything killed once in the middle of it; what each crash cost, in one table.

Of the deep tests (`make test-deep`): it takes the time of a day, and the machine for itself.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from bascule.ledger import journal

from lab import demo
from lab.airflow.answering import Answerer, read_rules
from lab.airflow.following import PHASES, follow
from lab.cluster.machine import open_ledger
from lab.measure.summary import print_summary, summarise
from lab.shell import lab
from tests.cluster.conftest import Cluster, until

pytestmark = pytest.mark.skipif(
    os.environ.get("BASCULE_TEST_DEPTH") != "full", reason="BASCULE_TEST_DEPTH=full runs the day with all its faults"
)


@dataclass
class Fault:
    """What is done to the cluster once `phase` is at its task `task`, and how long the day may stand still for it."""

    name: str
    phase: str
    task: str
    limit: float  # seconds
    make: Callable[[Cluster, dict[str, Any]], None]
    made_at: datetime | None = None
    seconds: float | None = None
    subject: dict[str, Any] = field(default_factory=dict)  # the task that was under way


def kill(service: str) -> Callable[[Cluster, dict[str, Any]], None]:
    def make(cluster: Cluster, _: dict[str, Any]) -> None:
        cluster.kill(cluster.machine.compose(f"ps --quiet {service}").split()[0])

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

    until(again, 200, "the machine has rebooted")  # it gives the workers 90 s for the tasks that they have begun


FAULTS = (
    Fault("scheduler killed", "freeze", "", 60, kill("scheduler")),
    Fault("API server killed", "freeze", "", 60, kill("api-server")),
    Fault("worker killed", "transfer", "mailbox.sync", 90, kill_its_worker),
    Fault("PostgreSQL killed", "transfer", "mailbox.sync", 60, kill("postgres")),
    Fault("Redis killed", "transfer", "mailbox.sync", 60, kill("redis")),
    Fault("triggerer killed", "transfer", "", 60, kill("triggerer")),
    Fault("machine rebooted", "cutover", "", 180, reboot),
)


@dataclass
class Faults:
    """Makes one fault after the other as the day goes on; called at every look at it."""

    cluster: Cluster
    run: str
    left: list[Fault]
    done: list[Fault] = field(default_factory=list)

    def look(self) -> None:
        if self.done and self.done[-1].seconds is None:
            self._look_whether_it_goes_on(self.done[-1])
        elif self.left and (task := self._at_work(self.left[0])):
            self._make(self.left.pop(0), task)

    def _at_work(self, fault: Fault) -> dict[str, Any] | None:
        if self.cluster.rest.run_state(fault.phase, self.run) != "running":
            return None
        tasks = self.cluster.rest.tasks(fault.phase, self.run)
        return next((t for t in tasks if t["state"] == "running" and fault.task in t["task_id"]), None)

    def _make(self, fault: Fault, task: dict[str, Any]) -> None:
        self.cluster.tell(f"fault: {fault.name}, while {fault.phase}.{task['task_id']} is at work")
        fault.made_at, fault.subject = datetime.now(UTC), task
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
        """It does when a task has begun since, and the one that was under way has ended or begun again."""
        assert fault.made_at
        since, cut_off = fault.made_at.isoformat(), fault.subject
        runs = [(dag, self.run) for dag in PHASES if self.cluster.rest.run_state(dag, self.run)]
        tasks = [(dag, task) for dag, run in runs for task in self.cluster.rest.tasks(dag, run)]
        begun = any((task["start_date"] or "") > since for _, task in tasks)
        ended = any(
            dag == fault.phase
            and (task["task_id"], task["map_index"]) == (cut_off["task_id"], cut_off["map_index"])
            and (task["state"] not in ("running", "queued", "scheduled", "up_for_retry") or task["start_date"] > since)
            for dag, task in tasks
        )
        if begun and ended:
            fault.seconds = (datetime.now(UTC) - fault.made_at).total_seconds()
            self.cluster.tell(f"after {fault.seconds:.0f} s the day goes on")


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
        runs["problems"] = demo.run_problems(instance, cluster.rest, tell, answerer)
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
    print("\n| fault | while | seconds | limit |\n|---|---|---|---|")
    for fault in faults.done:
        print(f"| {fault.name} | `{fault.phase}.{fault.subject['task_id']}` | {fault.seconds} | {fault.limit:.0f} |")
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

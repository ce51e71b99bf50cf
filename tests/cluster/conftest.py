"""The real cluster on the practice site's Docker machine: docker-compose.yaml and the Dockerfile as they are."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from bascule.ledger import Ledger

from lab.airflow.following import Teller
from lab.airflow.processes import Rest
from lab.cluster.machine import Machine
from lab.cluster.up import bring_up_cluster
from lab.demo import free_port
from lab.hosts import driver
from lab.paths import Instance
from lab.shell import LabError, run
from tests.cluster import clock

LASTING = clock.SERVICES
DEEP = os.environ.get("BASCULE_TEST_DEPTH") == "full"


@dataclass(frozen=True)
class Container:
    """One line of `docker compose ps`."""

    id: str
    service: str
    state: str
    health: str


@dataclass
class Cluster:
    machine: Machine
    rest: Rest
    ledger: Ledger
    tell: Teller

    def containers(self) -> list[Container]:
        """All containers of the cluster, also those that have ended."""
        found = [json.loads(line) for line in self.machine.compose("ps --all --format json").splitlines()]
        return [Container(item["ID"], item["Service"], item["State"], item["Health"]) for item in found]

    def kill(self, container: str) -> None:
        """Kill a container's processes as a crash does: the engine isn't asked to, so that it starts it again."""
        self.machine.shell(f"kill -9 $(docker inspect --format '{{{{.State.Pid}}}}' {container})")

    def on_host(self, name: str, line: str) -> str:
        """Run a line of shell as root on another host of the site. Raises LabError."""
        return run(driver.ssh_command(self.machine.instance, name, [line]))

    def tasks(self, dag: str, run: str, task: str) -> list[dict[str, Any]]:
        return [found for found in self.rest.tasks(dag, run) if found["task_id"] == task]

    def state(self, dag: str, run: str, task: str) -> str | None:
        return next((found["state"] for found in self.tasks(dag, run, task)), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes the cluster down comes last."""
    items.sort(key=lambda item: "test_down" in item.nodeid)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    instance, tell = Instance(os.environ["BASCULE_LAB_INSTANCE"]), Teller()
    machine, settings = Machine(instance), {}
    if DEEP:
        machine.boot(tell)
        settings = clock.install(machine)
    rest = bring_up_cluster(instance, tell, port=free_port(8280), **settings)
    yield Cluster(machine, rest, Ledger(machine.ledger_url()), tell)


@pytest.fixture(autouse=True)
def said(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[None]:
    """What the cluster said meanwhile, printed where a test has failed: its machine is gone afterwards."""
    failed, began = request.session.testsfailed, time.monotonic()
    yield
    if request.session.testsfailed > failed:
        since = f"{time.monotonic() - began + 1:.0f}s"
        with contextlib.suppress(LabError):
            cluster.tell(cluster.machine.compose(f"logs --no-color --tail 60 --since {since} scheduler worker"))


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Wait until a condition gives something; that, or a failed test."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.5)
    return found

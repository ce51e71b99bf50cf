"""Bring the cluster up on the Docker machine, as docs/adopt.md says, and take it down again."""

from lab.airflow import processes
from lab.airflow.following import Teller, wait_for_dags
from lab.airflow.processes import Home, Rest
from lab.cluster.machine import ADDRESS, PORT, Machine, open_ledger
from lab.hosts import driver
from lab.paths import Instance


def bring_up_cluster(instance: Instance, tell: Teller, *, port: int, **settings: str) -> Rest:
    """The cluster beside a filled practice site, healthy, with its UI on 127.0.0.1:`port`."""
    processes.stop(Home(instance))
    machine = Machine(instance)
    machine.boot(tell)
    machine.install(settings=settings)
    tell("cluster: docker compose up --build")
    machine.compose("up --build --detach --quiet-pull")
    tell("cluster: up")
    driver.forward(instance, PORT, port, ADDRESS)
    open_ledger(machine)
    rest = machine.rest(f"http://127.0.0.1:{port}")
    rest.wait_until_healthy()
    wait_for_dags(rest)
    tell("cluster: healthy")
    return rest

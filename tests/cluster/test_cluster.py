"""The cluster's short form: it comes up, a killed worker costs a mailbox seconds, and nothing can be seen of it."""

import json
import shlex
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from bascule.ledger import journal, mailboxes

from lab.airflow.processes import MAILBOXES_AT_ONCE
from lab.cluster.machine import ADDRESS, PLACE, PORT
from tests.cluster.conftest import DEEP, LASTING, Cluster, until

ACCOUNT = "direction"
AGAIN_SECONDS = 90
ENTRYPOINT = "/opt/bascule/cluster/entrypoint.sh"
STOP_WHILE_STARTING = Path(__file__).with_name("stop_while_starting.py")


def test_every_service_is_healthy_and_the_first_one_has_done_its_work(cluster: Cluster) -> None:
    def found() -> list[tuple[str, str, str]]:
        return sorted((item.service, item.state, item.health) for item in cluster.containers())

    expected = sorted([("init", "exited", ""), *((name, "running", "healthy") for name in [*LASTING, "worker"])])
    until(lambda: found() == expected, 120, "all services are healthy")


def test_the_first_user_logs_in_and_who_guesses_has_to_wait(cluster: Cluster) -> None:
    token = f"{cluster.rest.base}/auth/token"
    answers = [
        httpx.post(token, json={"username": "guessed", "password": f"wrong {number}"}, timeout=30).status_code
        for number in range(20)
    ]

    assert cluster.rest.dags() >= {"prepare", "migrate", "rollback"}
    assert answers[0] == 401
    assert set(answers) == {401, 429}  # one of the API server's processes has counted, each for itself


def test_a_killed_workers_mailbox_is_copied_by_the_other_one(cluster: Cluster) -> None:
    """No mailbox is begun before the old server stands still, so that the task is surely at it when its worker dies."""
    cluster.rest.make_pool("mailboxes", 0)
    run_id = cluster.rest.trigger("prepare", {"accounts": ACCOUNT})
    until(lambda: cluster.state("prepare", run_id, "list_accounts") == "success", 600, "the preflight has ended")
    cluster.on_host("old", "systemctl kill --signal=STOP dovecot")
    try:
        cluster.rest.make_pool("mailboxes", MAILBOXES_AT_ONCE)
        task = until(lambda: mailbox_task(cluster, run_id, "running"), 300, "a worker has begun the mailbox")
        cluster.kill(task["hostname"])
        began = time.monotonic()
    finally:
        cluster.on_host("old", "systemctl kill --signal=CONT dovecot")

    def again() -> bool:
        found = mailbox_task(cluster, run_id, "running", "success")
        return found is not None and found["try_number"] > task["try_number"]

    until(again, 5 * AGAIN_SECONDS, "the mailbox is at work again")
    seconds = time.monotonic() - began
    until(lambda: cluster.rest.run_state("prepare", run_id) == "success", 300, "`prepare` has ended")

    cluster.tell(f"a killed worker's mailbox was at work again after {seconds:.0f} s")
    assert seconds <= (AGAIN_SECONDS if DEEP else 2 * AGAIN_SECONDS)  # beside other tests it takes longer
    assert mailboxes.mailbox_states(cluster.ledger)[ACCOUNT].state == "verified"
    assert journal.broken_link(cluster.ledger) is None


def mailbox_task(cluster: Cluster, run_id: str, *states: str) -> dict[str, Any] | None:
    tasks = cluster.tasks("prepare", run_id, "mailbox.sync")
    return next((task for task in tasks if task["state"] in states), None)


def test_the_log_of_each_try_can_be_read_in_the_ui(cluster: Cluster) -> None:
    run_id = cluster.rest.call("GET", "dags/prepare/dagRuns?limit=1&order_by=-id")["dag_runs"][0]["dag_run_id"]
    task = cluster.tasks("prepare", run_id, "mailbox.sync")[0]

    assert ACCOUNT in cluster.rest.log("prepare", run_id, "mailbox.sync", task["try_number"], task["map_index"])


def test_no_secret_is_shown_by_the_engine_the_process_lists_or_the_logs(cluster: Cluster) -> None:
    machine = cluster.machine
    names = machine.shell(f"ls {PLACE}/secrets").split()
    secrets = [machine.secret(name).strip() for name in names if name != "connections.yaml"]
    connections = yaml.safe_load(machine.secret("connections.yaml"))
    secrets += [connection["password"] for connection in connections.values() if connection.get("password")]
    seen = {
        "docker inspect": machine.shell("docker inspect $(docker ps --all --quiet)"),
        "process lists": machine.shell("ps -eo args; cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'"),
        "logs": machine.compose("logs --no-color"),
        "task logs": machine.compose("exec -T worker sh -c 'find /opt/bascule/logs -type f -exec cat {} +'"),
    }

    assert len(secrets) > 10 and min(map(len, secrets)) >= 16
    assert [place for place, text in seen.items() for secret in secrets if secret in text] == []


def test_a_worker_that_is_asked_to_stop_while_it_starts_ends_at_once(cluster: Cluster) -> None:
    """Begun through a shell, as on Kubernetes; what the cluster's own worker begins with is a part of that."""
    command = f"docker compose exec -T worker python - {ENTRYPOINT} bash -c 'exec airflow celery worker'"
    said = cluster.machine.shell(f"cd {PLACE}; {command}", input=STOP_WHILE_STARTING.read_bytes())

    assert said.split("\n") == [*4 * [f"ended with {-signal.SIGTERM}"], ""]


def test_a_neighbour_reaches_nothing_but_the_ui(cluster: Cluster) -> None:
    """From another host of the site; also when it sends packets for the containers' own addresses."""
    inside = json.loads(cluster.machine.shell("docker network inspect bascule_inside bascule_outside"))
    addresses = [item["IPv4Address"].split("/")[0] for network in inside for item in network["Containers"].values()]
    ports = (2375, 2376, 5432, 6379, 8080, 8793, 8794, 8974)
    targets = [(ADDRESS, port) for port in ports] + [(address, port) for address in addresses for port in ports]
    tries = " ".join(
        f"{{ timeout 3 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null && echo {address}:{port}; }} &"
        for address, port in targets
    )
    route = f"198.18.255.0/24 via {ADDRESS}"
    found = cluster.on_host("client", f"ip route replace {route}; {tries} wait; ip route del {route}").split()

    assert len(addresses) >= 8
    assert f"{ADDRESS}:{PORT}" in found
    assert {target.rpartition(":")[2] for target in found} == {str(PORT)}


@pytest.mark.parametrize("service", [*LASTING])
def test_no_process_is_root_or_can_write_outside_of_its_volumes(cluster: Cluster, service: str) -> None:
    line = "grep -E '^(Uid|CapEff|NoNewPrivs):' /proc/1/status; touch /opt/written /usr/written 2>&1 || true"
    said = cluster.machine.compose(f"exec -T {service} sh -c {shlex.quote(line)}")

    status = dict(part.split(":", 1) for part in said.splitlines() if part.startswith(("Uid", "CapEff", "NoNewPrivs")))
    assert "0" not in status["Uid"].split()
    assert int(status["CapEff"], 16) == 0 and status["NoNewPrivs"].strip() == "1"
    assert "Read-only file system" in said


def test_down_leaves_nothing(cluster: Cluster) -> None:
    cluster.machine.compose("down --volumes --timeout 30")

    assert cluster.machine.shell("docker ps --all --quiet; docker volume ls --quiet").split() == []
    assert cluster.machine.shell("docker network ls --format '{{.Name}}'").split() == ["bridge", "host", "none"]
    assert "containerd-shim" not in cluster.machine.shell("ps -eo comm")

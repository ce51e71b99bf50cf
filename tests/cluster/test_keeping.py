"""What a postmaster does with a cluster over the months: backup and the way back, upgrades, cleaning, more machines.

Of the deep tests (`make test-deep`).
"""

import json
import shlex
import time
from collections.abc import Iterator

import pytest
import yaml
from bascule.ledger import journal

from lab.cluster import checkout
from lab.cluster.machine import ADDRESS, PLACE, PORT, open_ledger
from lab.facts import DOMAIN
from lab.hosts.tls import Authority
from tests.cluster.conftest import DEEP, Cluster, until

pytestmark = pytest.mark.skipif(not DEEP, reason="BASCULE_TEST_DEPTH=full runs what takes many minutes")
ORIGIN = journal.Origin("prepare", "test", "test", "test")
SECOND = "/srv/second"  # the checkout of a machine that has nothing but a worker
SETTLING_SECONDS = 20
IDLE_SECONDS = 60


def up_again(cluster: Cluster) -> None:
    cluster.machine.compose("up --build --detach")
    open_ledger(cluster.machine)
    cluster.rest.wait_until_healthy()


def test_idle_it_costs_a_twelfth_of_a_core_at_most(cluster: Cluster) -> None:
    """CPU seconds of all processes of all containers over a minute in which nobody does anything.

    Measured once what the start and the tests before have left to do is done: nothing runs, all is healthy, and the
    share is no longer falling.
    """
    until(lambda: at_rest(cluster), 600, "nothing runs and all is healthy")
    shares = [share_of_a_core(cluster, SETTLING_SECONDS)]

    def settled() -> bool:
        shares.append(share_of_a_core(cluster, SETTLING_SECONDS))
        return shares[-1] >= 0.9 * shares[-2]

    until(settled, 300, "the cluster settles")
    used = {name: used / IDLE_SECONDS for name, used in cpu_seconds(cluster, IDLE_SECONDS).items()}
    share = sum(used.values())
    memory = cluster.machine.shell(
        "for p in /proc/[0-9]*; do awk '/^Pss:/ {print $2}' $p/smaps_rollup; done 2>/dev/null"
    )
    parts = ", ".join(f"{name} {part:.1%}" for name, part in sorted(used.items(), key=lambda item: -item[1]))
    cluster.tell(f"idle: {share:.1%} of a core, {sum(map(int, memory.split())) / 1024:.0f} MB ({parts})")

    assert share <= 0.08


def at_rest(cluster: Cluster) -> bool:
    runs = cluster.rest.call("GET", "dags/~/dagRuns?limit=1&state=running&state=queued")["total_entries"]
    return not runs and all(item.health == "healthy" for item in cluster.containers() if item.state == "running")


def share_of_a_core(cluster: Cluster, seconds: int) -> float:
    return sum(cpu_seconds(cluster, seconds).values()) / seconds


def cpu_seconds(cluster: Cluster, seconds: int) -> dict[str, float]:
    """What each container's processes use in this time."""
    names = "docker ps --no-trunc --format '{{.Names}} {{.ID}}'"
    each = "echo $name $(grep ^usage_usec /sys/fs/cgroup/docker/$id/cpu.stat)"

    def used() -> dict[str, int]:
        found = cluster.machine.shell(f"{names} | while read name id; do {each}; done").splitlines()
        return {line.split()[0]: int(line.split()[2]) for line in found}

    before = used()
    time.sleep(seconds)
    return {name.removeprefix("bascule-"): (usec - before[name]) / 1e6 for name, usec in used().items()}


def test_a_backup_is_taken_back_on_a_machine_that_has_lost_everything(cluster: Cluster) -> None:
    machine = cluster.machine
    connection = {
        "connection_id": "typed_in",
        "conn_type": "generic",
        "login": "bascule",
        "password": "typed in the UI",
    }
    cluster.rest.call("POST", "connections", json=connection)
    journal.append(cluster.ledger, journal.Entry("note", "note", "before the backup", ORIGIN))
    rows = list(journal.export(cluster.ledger))
    machine.compose("exec -T worker sh -c 'echo kept > /opt/bascule/reports/report.txt'")
    archive = machine.shell(f"cd {PLACE} && cluster/backup.sh").splitlines()[-1]
    assert machine.shell(f"stat --format %a {PLACE}/{archive}").strip() == "600"

    machine.compose("down --volumes --timeout 10")
    machine.shell(f"mv {PLACE}/{archive} /root/kept.tar")
    machine.shell(f"rm -rf {PLACE}; mkdir {PLACE}; tar -C {PLACE} -x", input=checkout.packed())
    machine.shell(f"cd {PLACE} && cluster/restore.sh /root/kept.tar")
    up_again(cluster)

    assert list(journal.export(cluster.ledger)) == rows
    assert cluster.rest.call("GET", "connections/typed_in")["login"] == "bascule"
    fernet = 'from airflow.models import Connection as C; print(C.get_connection_from_secrets("typed_in").password)'
    assert "typed in the UI" in machine.compose(f"exec -T scheduler python -c '{fernet}'")
    assert machine.compose("exec -T worker cat /opt/bascule/reports/report.txt") == "kept\n"


def test_newer_images_and_a_newer_checkout_find_their_volumes(cluster: Cluster) -> None:
    machine, rows = cluster.machine, list(journal.export(cluster.ledger))
    machine.shell("docker tag postgres:17.6-bookworm postgres:17.7-bookworm")
    machine.shell(f"sed -i 's/postgres:17.6-bookworm/postgres:17.7-bookworm/' {PLACE}/docker-compose.yaml")
    machine.shell(f"echo '# newer' >> {PLACE}/dags/prepare.py")
    up_again(cluster)

    assert "postgres:17.7-bookworm" in machine.compose("ps postgres")
    assert "# newer" in machine.compose("exec -T worker cat /opt/bascule/dags/prepare.py")
    assert list(journal.export(cluster.ledger)) == rows


def test_old_logs_and_rows_are_removed_and_the_ledger_is_not(cluster: Cluster) -> None:
    machine, rows = cluster.machine, list(journal.export(cluster.ledger))
    machine.compose(
        "exec -T worker sh -c 'mkdir -p /opt/bascule/logs/old; touch -d \"-91 days\" /opt/bascule/logs/old/a.log'"
    )
    machine.compose("exec -T worker sh -c 'touch /opt/bascule/logs/new.log'")
    machine.compose("exec -T cleaner /opt/bascule/cluster/clean.sh now")

    assert machine.compose("exec -T worker find /opt/bascule/logs -name '*.log' -path '*/old/*'") == ""
    assert "new.log" in machine.compose("exec -T worker ls /opt/bascule/logs")
    assert list(journal.export(cluster.ledger)) == rows


VAULT = """
import http.server, json, threading
class Vault(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        data = {"conn_type": "generic", "login": "from the vault", "password": "x"}
        found = self.path == "/v1/bascule/data/connections/mail_old" and self.headers["X-Vault-Token"] == "a token"
        body = {"data": {"data": data, "metadata": {}}} if found else {"data": {"id": "a token"}}
        self.send_response(200); self.send_header("Content-Type", "application/json"); self.end_headers()
        self.wfile.write(json.dumps(body).encode())
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 8200), Vault)
threading.Thread(target=server.serve_forever, daemon=True).start()
open("/tmp/vault_token", "w").write("a token")
from airflow.configuration import get_custom_secret_backend
print(get_custom_secret_backend().get_connection("mail_old").login)
"""


def test_connections_come_from_a_vault_by_two_variables(cluster: Cluster) -> None:
    arguments = {
        "url": "http://127.0.0.1:8200", "mount_point": "bascule", "connections_path": "connections",
        "auth_type": "token", "token_path": "/tmp/vault_token",
    }  # fmt: skip
    variables = {
        "BACKEND": "airflow.providers.hashicorp.secrets.vault.VaultBackend",
        "BACKEND_KWARGS": json.dumps(arguments),
    }
    given = " ".join(f"--env {shlex.quote(f'AIRFLOW__SECRETS__{name}={value}')}" for name, value in variables.items())
    said = cluster.machine.shell(f"cd {PLACE}; docker compose exec -T {given} worker python -", input=VAULT.encode())

    assert said.splitlines()[-1] == "from the vault"


def test_connections_that_are_typed_into_the_ui_are_as_good_as_those_of_the_file(cluster: Cluster) -> None:
    """All of them, and none in the file any more."""
    machine = cluster.machine
    file = machine.secret("connections.yaml")
    for name, connection in yaml.safe_load(file).items():
        cluster.rest.call("POST", "connections", json={"connection_id": name, **connection})
    machine.shell(f"echo '{{}}' > {PLACE}/secrets/connections.yaml")
    try:
        run = cluster.rest.trigger("prepare", {"accounts": "accueil", "dry_run": True})
        until(lambda: cluster.rest.run_state("prepare", run) in ("success", "failed"), 600, "`prepare` has ended")
    finally:
        machine.shell(f"cat > {PLACE}/secrets/connections.yaml", input=file.encode())

    assert cluster.rest.run_state("prepare", run) == "success"


@pytest.fixture
def second_machine(cluster: Cluster) -> Iterator[None]:
    """A worker with a project, networks and files of its own, that reaches the first by its published ports alone."""
    machine = cluster.machine
    certificate = Authority(machine.instance.ca_certificate.parent).issue("docker")
    for name, text in (("tls_certificate", certificate.chain), ("tls_key", certificate.key)):
        machine.shell(f"cat > {PLACE}/secrets/{name}", input=text.encode())
    machine.shell(f"cat >> {PLACE}/.env", input=SEVERAL.encode())
    machine.shell(f"cd {PLACE} && cluster/secrets.sh")
    cluster.on_host(
        "web", f"cat > /etc/nginx/sites-enabled/bascule <<'E'\n{TLS_BEFORE_THE_UI}\nE\nsystemctl reload nginx"
    )
    up_again(cluster)
    machine.shell(f"rm -rf {SECOND}; cp -a {PLACE} {SECOND}; cat >> {SECOND}/.env", input=WORKER.encode())
    machine.shell(f"cd {SECOND} && docker compose --project-name second up --detach --no-deps worker")
    yield
    machine.shell(f"cd {SECOND} && docker compose --project-name second down --volumes --timeout 10")


SEVERAL = f"""
COMPOSE_FILE=docker-compose.yaml:docker-compose.override.yaml:docker-compose.several.yaml
BASCULE_PRIVATE_ADDRESS={ADDRESS}
"""
# A container takes its own name for itself, so that this one has to be another than the first machine's.
WORKER = f"""
COMPOSE_FILE=docker-compose.yaml:docker-compose.worker.yaml
BASCULE_URL=https://web.{DOMAIN}:8446
BASCULE_MAIN=docker.{DOMAIN}
BASCULE_WORKER_NAME={ADDRESS}
BASCULE_WORKER_LISTEN={ADDRESS}
BASCULE_CA_FILE=/opt/bascule/certificates/ca.pem
BASCULE_SUBNET_INSIDE=198.18.255.128/26
BASCULE_SUBNET_OUTSIDE=198.18.255.192/26
"""
TLS_BEFORE_THE_UI = f"""server {{
    listen 8446 ssl;
    ssl_certificate /etc/ssl/obs/host.pem;
    ssl_certificate_key /etc/ssl/obs/host.key;
    location / {{ proxy_pass http://{ADDRESS}:{PORT}; proxy_set_header Host $host; }}
}}"""


@pytest.mark.usefixtures("second_machine")
def test_a_worker_on_another_machine_does_the_work_and_its_logs_are_read_in_the_ui(cluster: Cluster) -> None:
    cluster.machine.compose("stop worker")
    run = cluster.rest.trigger("prepare", {"accounts": "accueil", "dry_run": True})
    until(lambda: cluster.rest.run_state("prepare", run) in ("success", "failed"), 600, "`prepare` has ended")

    hosts = {task["hostname"] for task in cluster.rest.tasks("prepare", run) if task["hostname"]}
    assert hosts == {ADDRESS}
    assert cluster.rest.run_state("prepare", run) == "success"
    assert "preflight done" in cluster.rest.log("prepare", run, "preflight", 1)
    cluster.machine.compose("start worker")


@pytest.mark.usefixtures("second_machine")
def test_what_leaves_the_machine_is_encrypted(cluster: Cluster) -> None:
    """From another host of the site: a start without TLS, in PostgreSQL's protocol (its manual, 53.2.1)."""
    start = r"b'user\0airflow\0database\0airflow\0\0'"
    send = f"s.sendall(struct.pack('!ii', len({start}) + 8, 196608) + {start})"
    line = f"import socket, struct; s = socket.create_connection(('{ADDRESS}', 5432)); {send}; print(s.recv(500))"

    assert "no encryption" in cluster.on_host("client", f"python3 -c {shlex.quote(line)}")
    assert "6379" not in cluster.machine.shell("docker ps --format '{{.Ports}}'").replace("6379/tcp", "")

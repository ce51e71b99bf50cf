"""The cluster on the Docker machine: made as docs/adopt.md says, and driven through `docker compose` over SSH."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.airflow.processes import USER, Home, Rest
from lab.cluster import checkout, store
from lab.facts import CTL_ADDRESS, DOCKER_MACHINE, HOSTS
from lab.hosts import driver
from lab.paths import CHECKOUT, SITE_FILE, Instance
from lab.shell import LabError, lab

PLACE = "/srv/bascule"
PORT = 8080  # of the UI on the Docker machine
ADDRESS = HOSTS[DOCKER_MACHINE].address
CERTIFICATE = "/opt/bascule/certificates/ca.pem"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Machine:
    instance: Instance

    def boot(self, say: Say) -> None:
        """Boot it beside the site's hosts; its engine begins with the cached images."""
        store.build(say)
        if not self.instance.engine_store.exists():
            store.copy(self.instance.engine_store)
        lab(self.instance, "up", DOCKER_MACHINE)

    def shell(self, line: str, *, input: bytes | None = None) -> str:
        """Run a line of shell as root; what it printed. Raises LabError with its words."""
        command = driver.ssh_command(self.instance, DOCKER_MACHINE, [line])
        done = subprocess.run(command, input=input, capture_output=True, check=False)
        if done.returncode:
            words = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise LabError(f"docker: {line!r} ended with {done.returncode}: {words[-3000:]}")
        return done.stdout.decode(errors="replace")

    def compose(self, words: str) -> str:
        return self.shell(f"cd {PLACE} && docker compose {words}")

    def install(self, *, settings: dict[str, str]) -> None:
        """The checkout with this site's files, as one has it who works with a narrow umask."""
        self.shell(f"[ ! -e {PLACE} ] || (cd {PLACE} && docker compose down --volumes)")
        self.shell(f"rm -rf {PLACE}; mkdir {PLACE}; tar -C {PLACE} -x", input=checkout.packed())
        # The engine knows what it has built already of this one file by its mode, too.
        self.shell(f"find {PLACE} ! -name requirements-cluster.txt ! -type l -exec chmod go= {{}} +")
        for path, text in self._files(settings).items():
            self.shell(f"umask 077; cd {PLACE}; mkdir -p $(dirname {path}); cat > {path}", input=text.encode())
        self.shell(f"cd {PLACE} && cluster/secrets.sh")

    def _files(self, settings: dict[str, str]) -> dict[str, str]:
        example = (CHECKOUT / ".env.example").read_text(encoding="utf-8")
        given = {"BASCULE_URL": f"http://{ADDRESS}:{PORT}", "BASCULE_LISTEN": f"{ADDRESS}:{PORT}", **settings}
        own = "".join(f"{name}={value}\n" for name, value in given.items())
        return {
            "site.yaml": site_file(SITE_FILE.read_text(encoding="utf-8")),
            ".env": example + own,
            "secrets/connections.yaml": yaml.safe_dump(connections(self.instance)),
            "cluster/certificates/ca.pem": self.instance.ca_certificate.read_text(),
        }

    def rest(self, url: str) -> Rest:
        return Rest(url, USER, self.secret("admin_password"))

    @property
    def ledger_socket(self) -> Path:
        """Directory of the socket through which this machine reaches the cluster's PostgreSQL."""
        return self.instance.runtime / "ledger"

    def ledger_url(self) -> str:
        return f"postgresql+psycopg2://bascule:{self.secret('ledger_password')}@/bascule?host={self.ledger_socket}"

    def secret(self, name: str) -> str:
        return self.shell(f"cat {PLACE}/secrets/{name}")


def site_file(text: str) -> str:
    """The practice site's file for a Bascule on the Docker machine; what counts the mail afterwards comes from here."""
    return text.replace(f"allow: [{CTL_ADDRESS}/32]", f"allow: [{ADDRESS}/32, {CTL_ADDRESS}/32]")


def connections(instance: Instance) -> dict[str, dict[str, Any]]:
    """The instance's connections with the keys in them, as `secrets/connections.yaml` has them."""
    found: dict[str, dict[str, Any]] = json.loads((instance.state / "connections.json").read_text())
    for connection in found.values():
        extra = connection["extra"]
        if extra.pop("key_file", None):
            extra["private_key"] = instance.ssh_key.read_text()
        if "ca_file" in extra:
            extra["ca_file"] = CERTIFICATE
        connection["extra"] = json.dumps(extra)
    return found


def open_ledger(machine: Machine) -> None:
    """Let this machine reach the ledger, through SSH; the practice site's tools find it from then on."""
    instance, place = machine.instance, machine.ledger_socket
    place.mkdir(exist_ok=True)
    (place / ".s.PGSQL.5432").unlink(missing_ok=True)
    container = machine.compose("ps --quiet postgres").strip()
    line = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    address = machine.shell(f"docker inspect -f '{line}' {container}").strip()
    driver.tunnel(instance, DOCKER_MACHINE, place / ".s.PGSQL.5432", f"{address}:5432")
    Home(instance).use_cluster(machine.ledger_url(), {USER: machine.secret("admin_password")})

"""The wall clock of the cluster's processes, which a test sets. The machine's is that of all hosts, and stays."""

import subprocess
import tempfile
from pathlib import Path

import yaml

from lab.cluster.machine import Machine

SERVICES = ("postgres", "redis", "api-server", "scheduler", "dag-processor", "triggerer", "worker", "cleaner")
SOURCE = Path(__file__).with_name("clock.c")
HERE = "/srv/clock"  # on the Docker machine and in its containers
COMPOSE_FILE = f"docker-compose.yaml:docker-compose.override.yaml:{HERE}/docker-compose.yaml"


def install(machine: Machine) -> dict[str, str]:
    """Make the clock on the booted machine; what its `.env` then needs, so that all services go by it."""
    with tempfile.TemporaryDirectory() as place:
        library = Path(place) / "clock.so"
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, SOURCE], check=True)
        machine.shell(f"mkdir -p {HERE} && cat > {HERE}/clock.so", input=library.read_bytes())
    variables = {"LD_PRELOAD": f"{HERE}/clock.so", "CLOCK_OFFSET": f"{HERE}/offset"}
    service = {"environment": variables, "volumes": [f"{HERE}:{HERE}:ro"]}
    text = yaml.safe_dump({"services": dict.fromkeys(SERVICES, service)})
    machine.shell(
        f"printf +000 > {HERE}/offset; cat > {HERE}/docker-compose.yaml; chmod -R a+rX {HERE}", input=text.encode()
    )
    return {"COMPOSE_FILE": COMPOSE_FILE}


def set_back(machine: Machine, seconds: int) -> None:
    """Set it back, at once and for all containers; in place, since they have the file before their eyes."""
    machine.shell(f"printf -- -{seconds:03} | dd of={HERE}/offset conv=notrunc status=none")


def seconds_behind(machine: Machine, service: str) -> int:
    """How far a service's clock is behind the machine's."""
    return round(float(machine.shell("date +%s")) - float(machine.compose(f"exec -T {service} date +%s")))

"""What a postmaster has on the Docker machine: this checkout, as far as the cluster needs it."""

import subprocess
from pathlib import Path

from lab.paths import CHECKOUT

# Compose reads it by itself beside docker-compose.yaml.
OVERRIDE = CHECKOUT / "lab" / "cluster" / "docker-compose.override.yaml"
PARTS = (
    *("Dockerfile", ".dockerignore", ".env.example", "docker-compose.yaml", "docker-compose.several.yaml"),
    *("docker-compose.worker.yaml", "requirements-cluster.txt"),
    *("dags", "plugins", "include", "cluster"),
)


def copy(target: Path) -> None:
    """Copy the checkout as it is now."""
    subprocess.run(["tar", "-C", str(target), "-x"], input=packed(), check=True)


def packed() -> bytes:
    """The same as an archive of tar."""
    left_out = ["--exclude=__pycache__", "--exclude=*.pem", "--mode=u=rwX,go=rX"]
    command: list[str | Path] = ["tar", "-C", CHECKOUT, *left_out, "-c", *PARTS, "-C", OVERRIDE.parent, OVERRIDE.name]
    return subprocess.run(command, capture_output=True, check=True).stdout

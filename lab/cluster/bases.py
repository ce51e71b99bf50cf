"""The images that the cluster's files name, made from Debian's packages: a machine may reach no registry of images.

Each has the name that docker-compose.yaml and the Dockerfile use, and keeps what those rely on of the image of that
name: users, directories, the entrypoint. Its version is Debian's, not always the one in the name.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from lab.hosts.images import Image
from lab.hosts.recipes import TRIXIE
from lab.shell import run

SLIM = Image("slim", packages=("ca-certificates", "netbase", "tzdata"), release="bookworm")
# A virtual environment in /usr/local is what the name promises: a Python with pip that is not Debian's own.
PYTHON = Image(
    "python",
    packages=("python3.11", "python3.11-venv"),
    commands=(("python3.11", "-m", "venv", "/usr/local"),),
    base=SLIM,
)
REDIS = Image(
    "redis", packages=("redis-server",), commands=(("install", "-d", "-o", "redis", "-g", "redis", "/data"),), base=SLIM
)
POSTGRES = Image(
    "postgres",
    packages=("postgresql-17",),
    commands=(
        ("install", "-d", "-o", "postgres", "-g", "postgres", "-m", "700", "/var/lib/postgresql/data"),
        ("install", "-d", "/docker-entrypoint-initdb.d"),
    ),
    base=TRIXIE,
)
IMAGES = (PYTHON, REDIS, POSTGRES)
ENTRYPOINT = Path(__file__).resolve().parent / "postgres_entrypoint.sh"
# Whom this machine trusts. Debian makes its own list of that anew when a package is installed.
CERTIFICATES = "/usr/local/share/certificates-of-the-machine.pem"
# How pip reaches its registry from here, as far as a container can do the same.
PIP_SETTINGS = ("index-url", "proxy", "trusted-host", "timeout", "default-timeout", "retries")


@dataclass(frozen=True)
class BaseImage:
    """A made root filesystem, the name that it gets in the engine, and its configuration there."""

    image: Image
    name: str
    changes: tuple[str, ...]


def base_images() -> tuple[BaseImage, ...]:
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return (
        BaseImage(PYTHON, "python:3.11.14-slim-bookworm", (f"ENV PATH={path} LANG=C.UTF-8", *_pip(), "CMD python3")),
        BaseImage(REDIS, "redis:7.2.11-bookworm", (f"ENV PATH={path}", "WORKDIR /data", "VOLUME /data")),
        BaseImage(
            POSTGRES,
            "postgres:17.6-bookworm",
            (
                f"ENV PATH=/usr/lib/postgresql/17/bin:{path} LANG=C.UTF-8 PGDATA=/var/lib/postgresql/data",
                "VOLUME /var/lib/postgresql/data",
                'ENTRYPOINT ["/usr/local/bin/docker-entrypoint.sh"]',
                "CMD postgres",
                "STOPSIGNAL SIGINT",
            ),
        ),
    )


def _pip() -> tuple[str, ...]:
    found = {"PIP_CERT": CERTIFICATES}
    for line in run([sys.executable, "-m", "pip", "config", "list"]).splitlines():
        name, _, value = line.partition("=")
        setting = name.removeprefix("global.").removeprefix(":env:.")
        if setting in PIP_SETTINGS:
            found[f"PIP_{setting.upper().replace('-', '_')}"] = value.strip("'\"")
    return tuple(f"ENV {name}={value}" for name, value in found.items())

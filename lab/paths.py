"""Where the lab keeps its things, and how it names what it makes on the machine.

Three places: the cache (images, for every clone on this machine), the state of an instance (below `var/lab/` of the
checkout; thrown away by `purge`) and its runtime directory below `/run` (sockets and process ids; gone after `down`).
"""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
SITE_FILE = CHECKOUT / "lab" / "site.yaml"
TEMPLATES = Path(__file__).resolve().parent / "templates"
CACHE = Path(os.environ.get("BASCULE_CACHE", "/var/cache/bascule"))


@dataclass(frozen=True)
class Instance:
    """One practice site: its hosts in a network namespace of their own. Several live side by side."""

    name: str
    checkout: Path = CHECKOUT

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", self.name):
            raise ValueError(f"instance name {self.name!r}: use small letters, digits and '-', at most 31")

    @property
    def tag(self) -> str:
        """Short hash of checkout and name: keeps two instances apart wherever the machine has one list of names."""
        return hashlib.sha256(f"{self.checkout}\0{self.name}".encode()).hexdigest()[:8]

    @property
    def namespace(self) -> str:
        return f"bascule-{self.tag}"

    @property
    def cgroup(self) -> str:
        return f"bascule-{self.tag}"

    def machine(self, host: str) -> str:
        """The name that systemd-nspawn gives the host on this machine."""
        return f"{host}-{self.tag}"

    @property
    def state(self) -> Path:
        return self.checkout / "var" / "lab" / self.name

    @property
    def runtime(self) -> Path:
        return Path("/run/bascule") / self.tag

    @property
    def control_socket(self) -> Path:
        return self.runtime / "control.sock"

    @property
    def power_switch(self) -> Path:
        """Directory with the socket through which the hypervisor switches its virtual machine."""
        return self.runtime / "power"

    def host_directory(self, host: str) -> Path:
        """Holds the overlay of one host: upper (what the host wrote), work, root (mount point)."""
        return self.state / "hosts" / host

    def log(self, host: str) -> Path:
        """The host's console."""
        return self.state / "log" / f"{host}.log"

    @property
    def engine_store(self) -> Path:
        """What the Docker machine's engine keeps: it can't lie on the overlay that the machine boots from."""
        return self.state / "hosts" / "docker-engine"

    @property
    def secrets(self) -> Path:
        return self.state / "secrets.json"

    @property
    def ca_certificate(self) -> Path:
        return self.state / "tls" / "ca.pem"

    @property
    def ssh_key(self) -> Path:
        return self.state / "ssh" / "id_ed25519"

    def host_key(self, host: str) -> Path:
        return self.state / "ssh" / f"host-{host}"

    @property
    def known_hosts(self) -> Path:
        return self.state / "ssh" / "known_hosts"

"""What is fixed about the practice site: its hosts, addresses and names.

Everything else (passwords, keys, certificates) is made anew for each instance and lies in its state directory.
"""

from dataclasses import dataclass

DOMAIN = "obs.test"
LDAP_BASE = "dc=obs,dc=test"
PEOPLE_BASE = f"ou=people,{LDAP_BASE}"
NETWORK = "198.51.100.0/24"
INTERFACE = "host0"  # the interface's name inside each host, as systemd-nspawn calls it


@dataclass(frozen=True)
class Host:
    """One host of the lab: its short name, its address and the image (role) that it boots from."""

    name: str
    address: str
    role: str

    @property
    def fqdn(self) -> str:
        return f"{self.name}.{DOMAIN}"


# `ctl` is no host: it is the bridge's own address, where Airflow and the tests run (they join the namespace).
CTL_ADDRESS = "198.51.100.1"

HOSTS = {
    host.name: host
    for host in (
        Host("old", "198.51.100.11", "mail"),
        Host("new", "198.51.100.12", "mail"),
        Host("mx", "198.51.100.13", "mail"),
        Host("ldap", "198.51.100.14", "ldap"),
        Host("dns", "198.51.100.15", "dns"),
        Host("sogo", "198.51.100.16", "sogo"),
        Host("web", "198.51.100.17", "web"),
        Host("hv", "198.51.100.18", "hv"),
        Host("client", "198.51.100.19", "client"),
        Host("proxy", "198.51.100.20", "proxy"),  # the virtual machine `imap-proxy` that runs on hv
        Host("docker", "198.51.100.40", "docker"),  # runs the cluster's containers; boots only when it is asked for
    )
}

# What a site is made of; the Docker machine comes to it when the cluster is tried.
DOCKER_MACHINE = "docker"
USUAL = tuple(name for name in HOSTS if name != DOCKER_MACHINE)

# Service addresses wander: imap from the proxy to new, pop from old to new.
SERVICE_ADDRESSES = {"imap": "198.51.100.31", "pop": "198.51.100.32"}

# Names that are not hosts' own names.
ALIASES = {
    "imap.obs.test": SERVICE_ADDRESSES["imap"],
    "pop.obs.test": SERVICE_ADDRESSES["pop"],
    "ctl.obs.test": CTL_ADDRESS,
    "webmail.obs.test": HOSTS["web"].address,
    "smtp.obs.test": HOSTS["new"].address,  # submission: people's programs send through new
}

# Whose name an address has; a host's own name comes before its aliases.
REVERSE_ZONE = "100.51.198.in-addr.arpa"
REVERSE_NAMES = {host.fqdn: host.address for host in HOSTS.values()} | {
    f"ctl.{DOMAIN}": CTL_ADDRESS,
    **{f"{name}.{DOMAIN}": address for name, address in SERVICE_ADDRESSES.items()},
}

VIRTUAL_MACHINE = "imap-proxy"
VIRTUAL_MACHINE_HOST = "proxy"

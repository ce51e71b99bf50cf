"""The site file's sections about hosts, and what runs on them for everybody."""

from typing import Annotated, Literal

from pydantic import Field

from bascule.site.values import (
    AbsolutePath,
    Attribute,
    ConnectionId,
    HostName,
    IpInterface,
    IpNetwork,
    Part,
    Port,
    Template,
    Unit,
    Url,
    like,
)


class HostPart(Part):
    address: HostName  # a name that DNS knows
    ssh: ConnectionId  # Airflow connection of type SSH, with the host key


class ServicePart(Part):
    """A service: its systemd units on one host, and the TCP ports that it listens on when it runs."""

    host: str
    units: list[Unit] = Field(min_length=1)
    ports: list[Port] = []


class ServicesPart(Part):
    imap_old: ServicePart
    imap_new: ServicePart
    reception_new: ServicePart
    backup_old: ServicePart


class VirtualMachinePart(Part):
    """The virtual machine that proxies IMAP before the day."""

    hypervisor: str
    kind: Literal["virsh"] = "virsh"
    name: Annotated[str, like(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "the name that the hypervisor knows")]
    uri: str = "qemu:///system"


class DestinationPart(Part):
    """The attribute that says where an account's mail goes, as Jinja2 templates over `account` and `entry`."""

    attribute: Attribute
    before: Template
    after: Template


class DirectoryPart(Part):
    connection: ConnectionId
    base: str
    filter: str
    account: str = "uid"  # the attribute that names the account
    destination: DestinationPart
    page_size: int = Field(default=500, ge=1, le=10_000)


class AliasesPart(Part):
    """The alias map on the MX: where it lies and the template that makes it."""

    host: str
    path: AbsolutePath
    type: Literal["hash", "lmdb", "cdb", "btree"] = "hash"
    template: str = "aliases.j2"
    sample: list[str] = []  # keys that `postmap -q` must find afterwards, besides a sample of accounts
    extra: dict[str, list[str]] = {}  # alias -> destinations, beyond the accounts' own


class IsolationPart(Part):
    """A firewall on one host: its mail ports can be reached from `allow` only."""

    host: str
    ports: list[Port] = Field(min_length=1)
    allow: list[IpNetwork] = Field(min_length=1)
    refused_from: list[str] = []  # hosts from which it is tried, and must fail
    template: str = "isolation.nft.j2"
    path: AbsolutePath = "/etc/nftables.d/bascule.nft"


class IsolationsPart(Part):
    old: IsolationPart
    new: IsolationPart


class ServiceAddressPart(Part):
    """A service address that moves: who holds it before and after, and how the move is checked."""

    name: HostName
    address: IpInterface  # with its prefix length: 198.51.100.31/24
    old_owner: str | None = None  # the host that holds it; none when it went with the virtual machine
    new_owner: str
    interface: Annotated[str, like(r"[A-Za-z0-9_.:-]{1,15}", "a network interface's name, such as eth0")]
    verify_from: str
    port: Port


class ServiceAddressesPart(Part):
    imap: ServiceAddressPart
    pop: ServiceAddressPart


class PreferencesPart(Part):
    """Users' preferences in SOGo: key -> JSON, as a template over `account` and `entry`. Only what is unset is set."""

    host: str
    values: dict[Annotated[str, Field(pattern=r"^[A-Za-z]+$")], Template]


class WebmailPart(Part):
    host: str
    url: Url
    target: Url
    kind: Literal["nginx", "apache"] = "nginx"
    template: str | None = None  # the kind's own unless given
    path: AbsolutePath
    verify_from: str
    preferences: PreferencesPart | None = None


class QueuesPart(Part):
    """Postfix queues: the MX's, where mail waits on the day, and old's, which is emptied before the last pass."""

    mx: str
    old: str | None = None
    poll_seconds: int = Field(default=30, ge=1)
    lifetime_hours: int = Field(default=24, ge=1)  # how long the MX must be able to hold mail


class PointPart(Part):
    """A service as clients have configured it."""

    name: HostName
    port: Port

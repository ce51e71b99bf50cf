"""The site file's sections as pydantic models. Every key is explained in include/site.example.yaml."""

from datetime import time
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bascule.site.values import (
    AbsolutePath,
    Attribute,
    Clock,
    ConnectionId,
    HostName,
    IpInterface,
    IpNetwork,
    Languages,
    MailAddress,
    Port,
    Security,
    Template,
    Unit,
    Url,
    Weekday,
    known_zone,
    like,
)

KINDS = Path(__file__).resolve().parents[3] / "include" / "problems.yaml"


class Part(BaseModel):
    """One part of the site file. Unknown keys are errors: most of them are typing errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


class MailServerPart(Part):
    """One IMAP and ManageSieve server, and how Bascule logs in for an account."""

    host: str
    connection: ConnectionId
    address: HostName
    port: Port = 993
    security: Security = "tls"
    sieve_port: Port | None = 4190
    sieve_security: Security = "starttls"
    login: Literal["master", "authzid", "secret"] = "master"
    master_login: str = "{account}*{master}"  # for login: master
    connections: int = Field(default=8, ge=1)  # at most so many at once, all tasks together
    messages_per_second: int = Field(default=0, ge=0)  # copied by all tasks together; 0: no limit
    bytes_per_second: int = Field(default=0, ge=0)
    storage: AbsolutePath | None = None  # where the mail lies on the host, for the check of disk space

    @model_validator(mode="after")
    def _names_the_account(self) -> "MailServerPart":
        if self.login == "master" and "{account}" not in self.master_login:
            raise ValueError("master_login must contain {account}, as in {account}*{master}")
        return self


class FoldersPart(Part):
    """What happens to folder names beyond separators and prefixes."""

    exclude: list[str] = []  # old names that are not carried
    rename: dict[str, str] = {}  # old name -> new name, for every mailbox
    replace: dict[str, str] = {}  # text in a refused name -> what to propose for it


class PopPart(Part):
    """POP3 UIDLs carried to new, for the accounts that used POP3 lately (by old's logs) or for all."""

    accounts: Literal["recent", "all"] = "recent"
    old_port: Port = 995
    new_port: Port = 995


class QuotaPart(Part):
    """The attribute of an account's directory entry from which the new server reads its quota; `value` over `bytes`."""

    attribute: Attribute
    value: Template = "{{ bytes }}"


class MailboxesPart(Part):
    old: MailServerPart
    new: MailServerPart
    folders: FoldersPart = FoldersPart()
    pop3: PopPart | None = None
    verify: Literal["counts", "attributes", "content"] = "attributes"
    connections_per_mailbox: int = Field(default=2, ge=1, le=8)
    acl: bool = False
    metadata: bool = False
    uids: Literal["keep", "keep where possible", "new"] = "keep where possible"
    identifiers: dict[str, str] = {}  # in access rights: old identifier -> new one, beyond the accounts' own names
    quota: QuotaPart | None = None
    largest_message: int = Field(default=200_000_000, ge=1)  # bytes


class FiltersPart(Part):
    """Sieve conversion. `never_matching`: what to do with a rule that never could match (header "Subject:")."""

    never_matching: Literal["ask", "repair", "keep"] = "ask"
    parallel: int = Field(default=8, ge=1, le=64)


class CalendarServerPart(Part):
    connection: ConnectionId
    url: Template  # of one account's home, over `account`
    contacts_url: Template | None = None  # where address books have a home of their own
    login: Literal["superuser", "proxy", "secret"] = "superuser"
    discover: bool = False  # `url` is the account's principal or any page; the server says where the homes are


class RightsFilePart(Part):
    """Radicale's file of rights, which says who may see and change whose collections; read over SSH."""

    host: str
    path: AbsolutePath = "/etc/radicale/rights"


class SogoToolPart(Part):
    """`sogo-tool backup` on old and `sogo-tool restore` on new, over SSH, where both are SOGo."""

    old: str
    new: str


class CalendarsPart(Part):
    """Calendars and address books. `main`: names of old collections that go into the one that new gives everybody."""

    old: CalendarServerPart
    new: CalendarServerPart
    main: list[str] = ["agenda", "calendar", "personal", "default", "contacts", "addressbook"]
    new_main: str = "personal"
    parallel: int = Field(default=4, ge=1, le=32)
    rights: RightsFilePart | None = None  # where old is Radicale
    sogo_tool: SogoToolPart | None = None  # where old is SOGo too


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


class OutsidePart(Part):
    """An address outside of the domain whose mail ends in a Maildir on a host of the site file."""

    address: str
    host: str
    maildir: AbsolutePath


class FunctionalTestsPart(Part):
    """Who and where from the functional tests are run. What is not given is not tested."""

    run_from: str
    account: str
    connection: ConnectionId  # the login and password of that account
    address: str  # its mail address, as the outside writes to it
    mx: HostName
    filter_folder: str | None = None  # folder into which its filter files a message with the header X-Bascule-Test
    webmail_login: str = "SOGo"  # words of the webmail's login page
    calendar_url: str | None = None
    submission: PointPart | None = None
    sieve: PointPart | None = None
    addresses: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")], str] = {}  # kind -> address of the probe
    outside: OutsidePart | None = None
    quota: bool = False  # whether the probe's mailbox has one, and must refuse what exceeds it
    mail_program: bool = False  # whether mbsync is on that host, and keeps a cache of the account's mail
    browser: AbsolutePath | None = None  # Chromium on the machine where the tasks run


class RoutePart(Part):
    """The attribute by which the IMAP proxies find an account's server; templates over `account` and `entry`."""

    attribute: Attribute
    old: Template
    new: Template


class HoursPart(Part):
    """When accounts may begin to move, on the clocks of the site's time zone."""

    begin: Clock = time(9)
    end: Clock = time(17)
    days: list[Weekday] = Field(default=["monday", "tuesday", "wednesday", "thursday", "friday"], min_length=1)

    @model_validator(mode="after")
    def _begins_before_its_end(self) -> "HoursPart":
        if self.begin >= self.end:
            raise ValueError("`begin` must be earlier than `end`, on the same day")
        return self


class MovesPart(Part):
    """Accounts that move one by one, behind IMAP proxies that ask the directory. Times in seconds."""

    proxies: list[str] = Field(min_length=1)
    exchangers: list[str] = []  # all hosts that are an MX; none: the one of `queues.mx`
    service: PointPart  # where users reach IMAP, through the proxies
    route: RoutePart
    delay_attribute: Attribute  # the proxies hold logins back until the instant that it names
    delay_seconds: int = Field(default=1, ge=1, le=25)  # at least; a login waits 30 s in a Dovecot proxy
    hold_attribute: Attribute  # the MX keeps the mail of whoever has it
    hold_value: Annotated[
        str, like(r"retry:4\.\d\.\d+ .+", "`retry:`, a code that begins with 4, and words, such as retry:4.2.1 moving")
    ] = "retry:4.2.1 mailbox is being moved"
    longest_hold: int = Field(default=120, ge=20, le=3600)
    small_pass: float = Field(default=3.0, gt=0)
    most_passes: int = Field(default=5, ge=1)
    at_once: int = Field(default=8, ge=1)
    calendars: bool = False  # whether users are led to new's calendars together with their mail
    hours: HoursPart | None = None  # None: accounts may go to new at any time
    per_hour: int = Field(default=0, ge=0)  # accounts that may begin to; 0: as many as can
    most_failures: int = Field(default=3, ge=1)  # of one run, after which the rest is left for later
    largest_group: int = Field(default=30, ge=1)  # accounts that share something, before a person is asked

    @model_validator(mode="after")
    def _attributes_differ(self) -> "MovesPart":
        names = [self.route.attribute.lower(), self.delay_attribute.lower(), self.hold_attribute.lower()]
        if len({*names}) < len(names):
            raise ValueError("`route.attribute`, `delay_attribute` and `hold_attribute` must be three attributes")
        return self


class GatesPart(Part):
    """Who may answer. Airflow user names; an empty list means everyone who may edit the run."""

    reviewers: list[str] = []
    cutover: list[str] = []


class NotifyPart(Part):
    """Who is told when a question waits, a phase begins, ends or fails, a hold is overdue."""

    mail: list[MailAddress] = []
    smtp: ConnectionId = "smtp_default"  # of Airflow's SMTP provider
    chats: list[ConnectionId] = []  # connections whose password is a URL of Apprise
    about: list[Literal["questions", "phases", "failures", "holds"]] = ["questions", "phases", "failures", "holds"]


class LettersPart(Part):
    """The letters to owners: when something was decided in their mailbox, and before it moves on its own."""

    owners: bool = True
    days_before_move: int = Field(default=0, ge=0, le=60)  # 0: nobody is told before


@cache
def _standing() -> dict[str, list[str]]:
    """The standing decisions that fit each kind of problem, as the registry of the kinds says."""
    raw = yaml.safe_load(KINDS.read_text(encoding="utf-8"))
    return {key: [*item["standing"]] for key, item in raw.items()}


def _known_kinds(decisions: dict[str, str]) -> dict[str, str]:
    """Check standing decisions against the kinds of problems. Raises ValueError."""
    for key, choice in decisions.items():
        if key not in _standing():
            raise ValueError(f"there is no kind of problem {key!r}; there are {', '.join(sorted(_standing()))}")
        if choice not in _standing()[key]:
            fitting = ", ".join(_standing()[key]) or "none: a person always looks at it"
            raise ValueError(f"{key!r} can't be decided once and for all by {choice!r}; fitting: {fitting}")
    return decisions


StandingDecisions = Annotated[dict[str, str], AfterValidator(_known_kinds)]


class Site(Part):
    """One organisation's migration."""

    name: Annotated[str, like(r"[a-z][a-z0-9-]*", "small letters, digits and hyphens, such as observatory")]
    domain: HostName
    timezone: Annotated[str, AfterValidator(known_zone)]
    languages: Languages = ["en"]
    postmaster: str
    hosts: dict[str, HostPart]
    services: ServicesPart
    virtual_machine: VirtualMachinePart
    directory: DirectoryPart
    aliases: AliasesPart
    mailboxes: MailboxesPart
    filters: FiltersPart = FiltersPart()
    calendars: CalendarsPart
    isolation: IsolationsPart
    service_addresses: ServiceAddressesPart
    webmail: WebmailPart
    queues: QueuesPart
    functional_tests: FunctionalTestsPart
    gates: GatesPart = GatesPart()
    decisions: StandingDecisions = {}
    letters: LettersPart = LettersPart()
    notify: NotifyPart = NotifyPart()
    moves: MovesPart | None = None

    @model_validator(mode="after")
    def _hosts_exist(self) -> "Site":
        unknown = [f"{path} names the host {name!r}" for path, name in _host_references(self) if name not in self.hosts]
        if unknown:
            known = ", ".join(sorted(self.hosts))
            raise ValueError(f"{'; '.join(unknown)}; the section `hosts` knows {known}")
        return self


HOST_KEYS = {
    *("host", "hypervisor", "old_owner", "new_owner", "verify_from", "run_from", "refused_from"),
    *("proxies", "exchangers"),
}


def _host_references(part: BaseModel, path: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key in type(part).model_fields:
        value, here = getattr(part, key), f"{path}.{key}".lstrip(".")
        if isinstance(value, BaseModel):
            found += _host_references(value, here)
        elif key in HOST_KEYS or (isinstance(part, QueuesPart | SogoToolPart) and key in ("mx", "old", "new")):
            found += [(here, name) for name in (value if isinstance(value, list) else [value]) if name is not None]
    return found

"""The site file as a whole, as a pydantic model; every key is explained in include/site.example.yaml."""

from functools import cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import AfterValidator, BaseModel, model_validator

from bascule.site.accounts import CalendarsPart, FiltersPart, MailboxesPart, SogoToolPart
from bascule.site.day import FunctionalTestsPart, GatesPart, LettersPart, NotifyPart
from bascule.site.infrastructure import (
    AliasesPart,
    DirectoryPart,
    HostPart,
    IsolationsPart,
    QueuesPart,
    ServiceAddressesPart,
    ServicesPart,
    VirtualMachinePart,
    WebmailPart,
)
from bascule.site.moves import MovesPart
from bascule.site.values import HostName, Languages, Part, known_zone, like

KINDS = Path(__file__).resolve().parents[3] / "include" / "problems.yaml"


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

"""A user's place: what the probe does on the host that the site file names, and how a functional test ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bascule.hosts import tls
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError, Connection
from bascule.remote.send import send
from bascule.site import PointPart, ServiceAddressPart


@dataclass(frozen=True)
class Evidence:
    """How a functional test ended: what was seen, or what to look at, in one sentence. `picture`: a directory."""

    ok: bool
    sentence: str
    picture: str = ""


class CouldNotTest(AccessError):
    """Raised when a functional test could not be done as a user would; its text says what is missing or was seen."""


def ask(access: Access, function: str, request: Mapping[str, Any], *, timeout: float = 120.0) -> dict[str, Any]:
    """Run the function there; what it saw. `timeout` in seconds.

    Raises AccessError with what the client saw, or when the host can't be reached.
    """
    remote = access.remote(access.site.functional_tests.run_from)
    return send(remote, "client", {"function": function, **request}, timeout=timeout, sudo=False)


def login(access: Access) -> dict[str, str]:
    """The probe's own login, as a request's keys."""
    connection = probe(access)
    return {"user": connection.login, "password": connection.password, "authority": authority(connection)}


def probe(access: Access) -> Connection:
    """The connection of the account that is tested with."""
    return access.connections.get(access.site.functional_tests.connection)


def authority(connection: Connection) -> str:
    """The certificate authority that the connection names, as text, since its file is here and not there."""
    path = tls.ca_file(connection)
    return Path(path).read_text(encoding="utf-8") if path else ""


def at(part: ServiceAddressPart) -> dict[str, Any]:
    return {"host": part.name, "port": part.port}


def point_of(part: PointPart | None) -> dict[str, Any]:
    if part is None:
        raise CouldNotTest("the site file doesn't say where this service is (`functional_tests`)")
    return {"host": part.name, "port": part.port}

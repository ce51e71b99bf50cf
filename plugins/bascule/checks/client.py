"""The client's place: run one of the functions of `from_client` on the host that the site file names."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bascule.access import Access, AccessError, Connection


@dataclass(frozen=True)
class Evidence:
    """How a functional test ended: what was seen, or what to look at, in one sentence. `picture`: a directory."""

    ok: bool
    sentence: str
    picture: str = ""


class Trouble(AccessError):
    """Raised when a functional test could not be done as a user would; its text says what the client saw."""


def ask(access: Access, function: str, request: Mapping[str, Any], *, timeout: float = 120.0) -> dict[str, Any]:
    """Run the function there; what it saw. `timeout` in seconds.

    Raises Trouble, or AccessError when the host can't be reached.
    """
    remote = access.remote(access.site.functional_tests.run_from)
    text = json.dumps({"function": function, **request})
    program = f"{_program()}\n\nanswer({text!r})\n"
    finished = remote.run(["python3", "-"], input=program.encode(), timeout=timeout, sudo=False, private=True)
    try:
        answer = json.loads(finished.output)
    except json.JSONDecodeError:
        raise Trouble(f"{remote.name} answered with what is no JSON: {finished.output[:200]!r}") from None
    if "trouble" in answer:
        raise Trouble(f"from {remote.name}: {answer['trouble']}")
    return answer["seen"]


def login(access: Access) -> dict[str, str]:
    """The probe's own login, as a request's keys."""
    connection = probe(access)
    return {"user": connection.login, "password": connection.password, "authority": authority(connection)}


def probe(access: Access) -> Connection:
    """The connection of the account that is tested with."""
    return access.connections.get(access.site.functional_tests.connection)


def authority(connection: Connection) -> str:
    """The certificate authority that the connection names, as text, since its file is here and not there."""
    path = connection.extra.get("ca_file")
    return Path(path).read_text(encoding="utf-8") if path else ""


@cache
def _program() -> str:
    return Path(__file__).with_name("from_client.py").read_text(encoding="utf-8")

"""Connections with their secrets, by their ids.

Nothing here knows Airflow. Inside a task the operators hand in Airflow's connections; outside of it (command line,
tests) the same connections come from `AIRFLOW_CONN_*` environment variables in Airflow's JSON format.
"""

import json
import os
from dataclasses import dataclass, field
from typing import Any, Protocol


class AccessError(Exception):
    """Raised when a host or a connection can't be reached or used as the site file says."""


@dataclass(frozen=True)
class Connection:
    """One connection by its Airflow id; `extra` holds what has no field of its own (CA file, host key, ...).

    Raises AccessError when a part of it is of another type, as a password is that YAML or JSON takes for a number.
    """

    conn_id: str
    host: str
    port: int | None = None
    login: str = ""
    password: str = field(default="", repr=False)
    extra: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name in ("host", "login", "password"):
            if not isinstance(getattr(self, name), str):
                raise AccessError(
                    f"`{name}` of the connection `{self.conn_id}` is no text: write it in quotation marks"
                )
        if not isinstance(self.extra, dict):
            raise AccessError(f"`extra` of the connection `{self.conn_id}` is no JSON object: write {{...}}")


class Connections(Protocol):
    """Where connections come from."""

    def get(self, conn_id: str) -> Connection:
        """Return the connection; raises AccessError when there is none of this id."""
        ...


class EnvironmentConnections:
    """Connections from `AIRFLOW_CONN_<ID>` variables, each one JSON object as Airflow reads them."""

    def __init__(self, environ: dict[str, str] | None = None) -> None:
        self._environ = environ if environ is not None else dict(os.environ)

    def get(self, conn_id: str) -> Connection:
        name = f"AIRFLOW_CONN_{conn_id.upper()}"
        try:
            raw = json.loads(self._environ[name])
        except KeyError:
            raise AccessError(f"no connection `{conn_id}`: set it in Airflow, or the variable {name}") from None
        except json.JSONDecodeError:
            raise AccessError(f"the variable {name} is not a JSON object") from None
        if not isinstance(raw, dict):
            raise AccessError(f"the variable {name} is not a JSON object")
        return Connection(
            conn_id=conn_id,
            host=raw.get("host") or "",
            port=_port(conn_id, raw.get("port")),
            login=raw.get("login") or "",
            password=raw.get("password") or "",
            extra=_extra(raw.get("extra") or {}),
        )


def _port(conn_id: str, port: Any) -> int | None:
    try:
        return int(port) if port else None
    except (TypeError, ValueError):
        raise AccessError(f"`port` of the connection `{conn_id}` is {port!r:.40}: write a number") from None


def _extra(extra: Any) -> Any:
    """An object may stand there as a text of JSON, too, as Airflow takes it; what is none is left for its refusal."""
    try:
        return json.loads(extra) if isinstance(extra, str) else extra
    except json.JSONDecodeError:
        return extra

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
    """One connection by its Airflow id; `extra` holds what has no field of its own (CA file, host key, ...)."""

    conn_id: str
    host: str
    port: int | None = None
    login: str = ""
    password: str = field(default="", repr=False)
    extra: dict[str, Any] = field(default_factory=dict, repr=False)


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
        return Connection(
            conn_id=conn_id,
            host=raw.get("host") or "",
            port=int(raw["port"]) if raw.get("port") else None,
            login=raw.get("login") or "",
            password=raw.get("password") or "",
            extra=raw.get("extra") or {},
        )

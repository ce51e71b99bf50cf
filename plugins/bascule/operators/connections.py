"""The rooms' connections, taken from Airflow."""

import threading
import time

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException

from bascule.hosts.connections import AccessError, Connection
from bascule.text.reason import reason

SECONDS = 5.0  # for which a connection is known: so soon an act that is tried again finds a replaced password


class AirflowConnections:
    """Airflow's connections by their ids, for one task. Safe in threads.

    A look at thousands of mailboxes asks for two of them at each; Airflow asks its API, or reads its file, every time.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, Connection]] = {}
        self._lock = threading.Lock()

    def get(self, conn_id: str) -> Connection:
        """Return the connection; raises AccessError when there is none of this id, which is asked for again."""
        with self._lock:
            known = self._known.get(conn_id)
            if known is None or time.monotonic() - known[0] > SECONDS:
                found = self._ask(conn_id)
                known = self._known[conn_id] = time.monotonic(), found
            return known[1]

    def _ask(self, conn_id: str) -> Connection:
        try:
            found = BaseHook.get_connection(conn_id)
        except AirflowException as error:
            raise AccessError(f"no connection `{conn_id}` in Airflow: {reason(error)}") from None
        return Connection(
            conn_id, found.host or "", found.port, found.login or "", found.password or "", found.extra_dejson
        )

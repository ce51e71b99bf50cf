"""The rooms' connections, taken from Airflow."""

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException

from bascule.hosts.connections import AccessError, Connection
from bascule.text.reason import reason


class AirflowConnections:
    """Airflow's connections by their ids."""

    def get(self, conn_id: str) -> Connection:
        try:
            found = BaseHook.get_connection(conn_id)
        except AirflowException as error:
            raise AccessError(f"no connection `{conn_id}` in Airflow: {reason(error)}") from None
        return Connection(
            conn_id, found.host or "", found.port, found.login or "", found.password or "", dict(found.extra_dejson)
        )

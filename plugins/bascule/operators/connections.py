"""The rooms' connections, taken from Airflow; SSH by the provider's SSHHook with its host key check."""

import paramiko
from airflow.providers.ssh.hooks.ssh import SSHHook
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException

from bascule.access import AccessError, Connection


class AirflowConnections:
    """Airflow's connections by their ids."""

    def get(self, conn_id: str) -> Connection:
        try:
            found = BaseHook.get_connection(conn_id)
        except AirflowException as error:
            raise AccessError(f"no connection `{conn_id}` in Airflow: {error}") from None
        return Connection(
            conn_id, found.host or "", found.port, found.login or "", found.password or "", dict(found.extra_dejson)
        )


def connect_ssh(connection: Connection) -> paramiko.SSHClient:
    """Connect by SSHHook. Raises AccessError with a sentence that says what failed."""
    if not connection.extra.get("host_key"):
        raise AccessError(
            f"the connection `{connection.conn_id}` has no `host_key`: add the line of `ssh-keyscan {connection.host}` "
            "that you have compared with the host's own, so that nobody else can answer in its place"
        )
    try:
        return SSHHook(ssh_conn_id=connection.conn_id, conn_timeout=15, banner_timeout=15, auth_timeout=15).get_conn()
    except paramiko.BadHostKeyException:
        raise AccessError(
            f"{connection.host} shows another SSH host key than the connection `{connection.conn_id}` knows: "
            "find out why before anything else, then mend `host_key` in the connection"
        ) from None
    except paramiko.AuthenticationException:
        raise AccessError(
            f"{connection.host} refuses the SSH login of `{connection.login}` (connection `{connection.conn_id}`)"
        ) from None
    except (OSError, paramiko.SSHException, AirflowException) as error:
        raise AccessError(f"{connection.host} can't be reached by SSH: {error}") from None

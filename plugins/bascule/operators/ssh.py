"""SSH by the provider's SSHHook, with its host key check."""

import paramiko
from airflow.providers.ssh.hooks.ssh import SSHHook
from airflow.sdk.exceptions import AirflowException

from bascule.hosts.connections import AccessError, Connection
from bascule.hosts.ssh import reasons
from bascule.text.reason import reason


def connect(connection: Connection) -> paramiko.SSHClient:
    """Connect by SSHHook. Raises AccessError with a sentence that says what failed."""
    if not connection.extra.get("host_key"):
        raise AccessError(
            f"the connection `{connection.conn_id}` has no `host_key`: add the line of `ssh-keyscan {connection.host}` "
            "that you have compared with the host's own, so that nobody else can answer in its place"
        )
    try:
        with reasons(connection):
            return SSHHook(
                ssh_conn_id=connection.conn_id, conn_timeout=15, banner_timeout=15, auth_timeout=15
            ).get_conn()
    except AirflowException as error:
        raise AccessError(f"{connection.host} can't be reached by SSH: {reason(error)}") from None

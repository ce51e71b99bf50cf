"""How the rooms reach the hosts: connections with their secrets, and commands over SSH.

Nothing here knows Airflow. Inside a task the operators hand in Airflow's connections; outside of it (command line,
tests) the same connections come from `AIRFLOW_CONN_*` environment variables in Airflow's JSON format.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from bascule.logs import get_logger

if TYPE_CHECKING:  # who only reaches an IMAP server pays for neither
    import paramiko

    from bascule.site import MailServerPart, Site

log = get_logger(__name__)

Security = Literal["tls", "starttls", "plain"]
LOGGED = 1500  # characters of each output of a command


class AccessError(Exception):
    """Raised when a host or a connection can't be reached or used as the site file says."""


class CommandFailed(AccessError):
    """Raised when a command over SSH ends with a status other than 0."""

    def __init__(self, host: str, command: Sequence[str], finished: Finished) -> None:
        self.finished = finished
        words = (finished.error or finished.output).strip()[-2000:]
        super().__init__(
            f"on {host}, `{shlex.join(command)}` ended with status {finished.status}"
            + (f" and said: {words}" if words else " and said nothing")
        )


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


@dataclass(frozen=True)
class Endpoint:
    """One TCP service: where it is and how it is secured. Timeouts in seconds."""

    host: str
    port: int
    security: Security = "tls"
    ca_file: str | None = None
    timeout: float = 60.0


@dataclass(frozen=True)
class Login:
    """Who logs in, and for whom: `authorize_as` is SASL PLAIN's authorization identity (RFC 4616)."""

    user: str
    password: str = field(repr=False)
    authorize_as: str | None = None


def login_for(part: MailServerPart, connection: Connection, account: str) -> Login:
    """How one gets into an account's mailbox and filters, by `login` of the site file. Raises AccessError."""
    if part.login == "master":
        return Login(part.master_login.format(account=account, master=connection.login), connection.password)
    if part.login == "authzid":
        return Login(connection.login, connection.password, authorize_as=account)
    secrets = connection.extra.get("passwords", {})
    if account not in secrets:
        raise AccessError(f"the connection `{connection.conn_id}` has no password for {account} in `passwords`")
    return Login(account, secrets[account])


@dataclass(frozen=True)
class Finished:
    """What a command over SSH did: exit status, text of both outputs, seconds that it took."""

    status: int
    output: str
    error: str
    seconds: float


def connect_ssh(connection: Connection, timeout: float = 15.0) -> paramiko.SSHClient:
    """Connect with the host key checked against the connection's `host_key`.

    Raises AccessError with a sentence that says what failed: unreachable, wrong host key, or login refused.
    """
    import paramiko

    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    port = connection.port or 22
    name = connection.host if port == 22 else f"[{connection.host}]:{port}"
    host_key = str(connection.extra.get("host_key", ""))
    if host_key:
        kind, data = host_key.split()[:2] if " " in host_key else ("ssh-rsa", host_key)
        client.get_host_keys().add(name, kind, paramiko.PKey.from_type_string(kind, _decode(data)))
    try:
        client.connect(
            connection.host,
            port=port,
            username=connection.login,
            password=connection.password or None,
            key_filename=connection.extra.get("key_file"),
            timeout=timeout,
            banner_timeout=timeout,
            auth_timeout=timeout,
            allow_agent=False,
            look_for_keys=False,
        )
    except paramiko.BadHostKeyException:
        raise AccessError(
            f"{connection.host} shows another SSH host key than the connection `{connection.conn_id}` knows: "
            "find out why before anything else, then mend `host_key` in the connection"
        ) from None
    except paramiko.AuthenticationException:
        raise AccessError(
            f"{connection.host} refuses the SSH login of `{connection.login}` (connection `{connection.conn_id}`)"
        ) from None
    except (OSError, paramiko.SSHException) as error:
        raise AccessError(f"{connection.host} can't be reached by SSH on port {port}: {error}") from None
    return client


def _decode(data: str) -> bytes:
    import base64

    return base64.b64decode(data)


class RemoteHost:
    """One host, commanded over SSH. Commands are lists of words; each word is quoted, none is ever a shell's.

    `connect` makes the connection when it is first needed (Airflow's SSHHook in a task, `connect_ssh` elsewhere).
    """

    def __init__(self, name: str, connect: Callable[[], paramiko.SSHClient]) -> None:
        self.name = name
        self._connect = connect
        self._client: paramiko.SSHClient | None = None

    def run(
        self,
        command: Sequence[str],
        *,
        input: bytes = b"",
        timeout: float = 120.0,
        check: bool = True,
        sudo: bool = True,
        private: bool = False,
    ) -> Finished:
        """Run a command; by default as root by sudo. `timeout` in seconds without any output.

        What it says stands in the log, unless it is `private` (users' data): then only how much that is.
        Raises CommandFailed on another status than 0 (unless `check` is off) and AccessError when the host is gone.
        """
        words = ["sudo", "-n", "--", *command] if sudo else list(command)
        began = time.monotonic()
        status, output, error = self._execute(shlex.join(words), input, timeout)
        finished = Finished(
            status, output.decode(errors="replace"), error.decode(errors="replace"), round(time.monotonic() - began, 3)
        )
        said = (
            {"output_bytes": len(output), "error_bytes": len(error)}
            if private
            else {"output": finished.output[-LOGGED:], "error": finished.error[-LOGGED:]}
        )
        log.info(
            "command on host",
            host=self.name,
            command=shlex.join(command),
            status=status,
            seconds=finished.seconds,
            **said,
        )
        if check and status != 0:
            shown = Finished(status, "", finished.error, finished.seconds) if private else finished
            raise CommandFailed(self.name, command, shown)
        return finished

    def read_file(self, path: str) -> bytes | None:
        """Return the file's bytes, or None when there is none. Raises CommandFailed when it can't be read."""
        command = ["env", "LC_ALL=C", "cat", "--", path]
        began = time.monotonic()
        status, output, error = self._execute(shlex.join(["sudo", "-n", "--", *command]), b"", 120.0)
        if status == 0:
            return output
        said = error.decode(errors="replace")
        if said.rstrip().endswith("No such file or directory"):
            return None
        raise CommandFailed(self.name, command, Finished(status, "", said, round(time.monotonic() - began, 3)))

    def write_file(self, path: str, data: bytes, *, mode: str = "0644") -> None:
        """Write the file as root, atomically: readers see the old one or the new one, never a part."""
        temporary = f"{path}.bascule-new"
        self.run(["install", "-m", mode, "/dev/null", temporary])
        status, _, error = self._execute(
            shlex.join(["sudo", "-n", "--", "dd", f"of={temporary}", "conv=fsync,notrunc", "status=none"]), data, 120.0
        )
        if status != 0:
            raise CommandFailed(
                self.name, ["dd", f"of={temporary}"], Finished(status, "", error.decode(errors="replace"), 0.0)
            )
        self.run(["mv", "-f", "--", temporary, path])

    def remove_file(self, path: str) -> None:
        """Remove the file if there is one, and what an interrupted `write_file` left beside it."""
        self.run(["rm", "-f", "--", path, f"{path}.bascule-new"])

    def close(self) -> None:
        if self._client:
            self._client.close()
            self._client = None

    def _execute(self, line: str, input: bytes, timeout: float) -> tuple[int, bytes, bytes]:
        import paramiko

        try:
            if self._client is None:
                self._client = self._connect()
            transport = self._client.get_transport()
            if transport is None or not transport.is_active():
                self._client = self._connect()
            stdin, stdout, _ = self._client.exec_command(line, timeout=timeout)
            if input:
                stdin.write(input)
            stdin.channel.shutdown_write()
            return _collect(stdout.channel, timeout)
        except (OSError, EOFError, paramiko.SSHException) as error:
            self.close()
            raise AccessError(f"{self.name}: the SSH connection broke: {error or type(error).__name__}") from error


def _collect(channel: paramiko.Channel, timeout: float) -> tuple[int, bytes, bytes]:
    """Read both outputs side by side, since a full buffer of the unread one would stop the command."""
    output, error, quiet_since = bytearray(), bytearray(), time.monotonic()
    while True:
        moved = False
        while channel.recv_ready():
            output += channel.recv(65536)
            moved = True
        while channel.recv_stderr_ready():
            error += channel.recv_stderr(65536)
            moved = True
        if moved:
            quiet_since = time.monotonic()
        elif channel.exit_status_ready() and channel.eof_received:
            return channel.recv_exit_status(), bytes(output), bytes(error)
        elif time.monotonic() - quiet_since > timeout:
            channel.close()
            raise TimeoutError(f"no output and no end for {timeout:.0f} s")
        else:
            time.sleep(0.005)


class Access:
    """Everything that a room needs to reach the site: the site file, its connections, its hosts by SSH."""

    def __init__(
        self,
        site: Site,
        connections: Connections,
        ssh: Callable[[Connection], paramiko.SSHClient] = connect_ssh,
    ) -> None:
        self.site = site
        self.connections = connections
        self._ssh = ssh
        self._remotes: dict[str, RemoteHost] = {}

    def remote(self, host: str) -> RemoteHost:
        """The host of this name in the site file; connects when first used."""
        if host not in self._remotes:
            conn_id = self.site.hosts[host].ssh
            self._remotes[host] = RemoteHost(host, lambda: self._ssh(self.connections.get(conn_id)))
        return self._remotes[host]

    def again(self) -> Access:
        """The same site and connections with SSH sessions of its own, for another thread. Close it too."""
        return Access(self.site, self.connections, self._ssh)

    def close(self) -> None:
        for remote in self._remotes.values():
            remote.close()
        self._remotes.clear()


@contextlib.contextmanager
def opened(site: Site, connections: Connections | None = None) -> Iterator[Access]:
    """An Access that is closed at the end; connections from the environment unless given."""
    access = Access(site, connections or EnvironmentConnections())
    try:
        yield access
    finally:
        access.close()

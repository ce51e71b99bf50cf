"""Commands on hosts, over SSH."""

from __future__ import annotations

import base64
import random
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bascule.hosts.connections import AccessError, Connection
from bascule.text.logs import get_logger
from bascule.text.reason import reason

if TYPE_CHECKING:  # who only reaches an IMAP server does not pay for it
    import paramiko

log = get_logger(__name__)

PATIENCE = 90.0  # seconds in which a host may turn connections away
LOGGED = 1500  # characters of each output of a command
LONGEST_LINE = 1_000_000  # bytes, in a conversation


class TurnedAway(AccessError):
    """Raised when a host takes a connection and closes it before its greeting, as sshd does beyond `MaxStartups`."""


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
class Finished:
    """What a command over SSH did: exit status, text of both outputs, seconds that it took."""

    status: int
    output: str
    error: str
    seconds: float


class Conversation(Protocol):
    """A command on a host that is written to and read from, line by line, until it is closed."""

    def write(self, data: bytes) -> None:
        """Send this. Raises AccessError."""

    def read_line(self) -> bytes:
        """The next line. Raises AccessError, with the command's own words, when it has ended or says nothing."""

    def close(self) -> None:
        """End the command."""


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
        client.get_host_keys().add(name, kind, paramiko.PKey.from_type_string(kind, base64.b64decode(data)))
    with reasons(connection):
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
    return client


@contextmanager
def reasons(connection: Connection) -> Iterator[None]:
    """Why an SSH connection was not made, as AccessError: unreachable, another host key, or login refused."""
    import paramiko

    try:
        yield
    except paramiko.BadHostKeyException:
        raise AccessError(
            f"{connection.host} shows another SSH host key than the connection `{connection.conn_id}` knows: "
            "find out why before anything else, then mend `host_key` in the connection"
        ) from None
    except paramiko.AuthenticationException:
        raise AccessError(
            f"{connection.host} refuses the SSH login of `{connection.login}` (connection `{connection.conn_id}`)"
        ) from None
    except (OSError, EOFError, paramiko.SSHException) as error:
        if isinstance(error, ConnectionResetError | EOFError) or "protocol banner" in str(error):
            raise TurnedAway(
                f"{connection.host} closed the SSH connection on port {connection.port or 22} before its greeting, "
                f"tried for {PATIENCE:.0f} s: too many begin at once for `MaxStartups` in its sshd_config, or it lets "
                "nobody in from here"
            ) from None
        raise AccessError(
            f"{connection.host} can't be reached by SSH on port {connection.port or 22}: {reason(error)}"
        ) from None


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

    def converse(self, command: Sequence[str], *, timeout: float = 120.0) -> Conversation:
        """Begin a command as root by sudo; `timeout` in seconds without an answer. Raises AccessError."""
        log.info("conversation with a command on host", host=self.name, command=shlex.join(command))
        with self._told() as transport:
            channel = transport.open_session()
            channel.settimeout(timeout)
            channel.exec_command(shlex.join(["sudo", "-n", "--", *command]))
            return _SshConversation(self.name, channel)

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
        client, self._client = self._client, None  # another thread may close it at the same time
        if client:
            client.close()

    def _execute(self, line: str, input: bytes, timeout: float) -> tuple[int, bytes, bytes]:
        with self._told() as transport:
            channel = transport.open_session(timeout=timeout)
            channel.settimeout(timeout)
            channel.exec_command(line)
            if input:
                channel.sendall(input)
            channel.shutdown_write()
            return _collect(channel, timeout)

    def _transport(self) -> paramiko.Transport:
        """The connection's, which is made when it is not there (any more). Raises AccessError."""
        client = self._client  # what breaks in another thread may close it meanwhile
        transport = client.get_transport() if client else None
        if transport is None or not transport.is_active():
            client = self._client = self._patiently_connected()
            transport = client.get_transport()
        if transport is None:
            raise EOFError("it was closed at once")
        return transport

    @contextmanager
    def _told(self) -> Iterator[paramiko.Transport]:
        """The connection's transport; what breaks it, as AccessError."""
        import paramiko

        transport = None
        try:
            transport = self._transport()
            yield transport
        except (OSError, EOFError, paramiko.SSHException) as error:
            self._drop(transport)
            raise AccessError(f"{self.name}: the SSH connection broke: {reason(error)}") from error

    def _drop(self, transport: paramiko.Transport | None) -> None:
        """Close the connection that broke, and not one that another thread has made in its place."""
        client = self._client
        if client and client.get_transport() is transport:
            self.close()
        elif transport:
            transport.close()

    def _patiently_connected(self) -> paramiko.SSHClient:
        """Connect, again and again while the host turns connections away. Raises AccessError."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self._connect()
            except TurnedAway:
                if time.monotonic() > deadline:
                    raise
                time.sleep(random.uniform(0.5, 3))  # noqa: S311  # so that those who wait don't come at once again


class _SshConversation:
    """A conversation over one channel."""

    def __init__(self, host: str, channel: paramiko.Channel) -> None:
        self._host, self._channel = host, channel
        self._read = bytearray()

    def write(self, data: bytes) -> None:
        try:
            self._channel.sendall(data)
        except OSError as error:
            raise AccessError(f"{self._host}: the conversation over SSH broke: {self._words() or error}") from error

    def read_line(self) -> bytes:
        while (end := self._read.find(b"\n")) < 0:
            try:
                data = self._channel.recv(65536)
            except OSError as error:
                raise AccessError(f"{self._host}: no answer over SSH: {error or 'none in time'}") from error
            if not data or len(self._read) > LONGEST_LINE:
                raise AccessError(f"{self._host}: the command over SSH ended: {self._words() or 'it said nothing'}")
            self._read += data
        line = bytes(self._read[: end + 1])
        del self._read[: end + 1]
        return line

    def close(self) -> None:
        self._channel.close()

    def _words(self) -> str:
        """What the command has said to its standard error."""
        words = self._channel.recv_stderr(LOGGED) if self._channel.recv_stderr_ready() else b""
        return words.decode(errors="replace").strip()


def _collect(channel: paramiko.Channel, timeout: float) -> tuple[int, bytes, bytes]:
    """Read both outputs side by side, since a full buffer of the unread one would stop the command.

    Raises EOFError when the connection ends before the command does, TimeoutError after `timeout` seconds of silence.
    """
    output, error, quiet_since = bytearray(), bytearray(), time.monotonic()
    while True:
        # Asked before reading: what came until then is read below, whatever comes meanwhile.
        ended = channel.closed or (channel.exit_status_ready() and channel.eof_received)
        moved = False
        while channel.recv_ready():
            output += channel.recv(65536)
            moved = True
        while channel.recv_stderr_ready():
            error += channel.recv_stderr(65536)
            moved = True
        if moved:
            quiet_since = time.monotonic()
        elif ended:
            if not channel.eof_received:  # paramiko closes the channels of a transport that ends, and says no more
                raise EOFError("the connection ended in the middle of a command")
            return channel.recv_exit_status(), bytes(output), bytes(error)
        elif time.monotonic() - quiet_since > timeout:
            channel.close()
            raise TimeoutError(f"no output and no end for {timeout:.0f} s")
        else:
            time.sleep(0.005)

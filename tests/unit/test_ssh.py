"""What becomes of a command over SSH whose connection ends: told at once, and never taken for an answer."""

import socket
import threading
import time
from collections.abc import Callable

import paramiko
import pytest
from bascule.hosts.connections import AccessError
from bascule.hosts.ssh import RemoteHost

KEY = paramiko.ECDSAKey.generate()
TIMEOUT = 20.0  # seconds; far more than each of these needs

Act = Callable[[paramiko.Channel], None]


class Server(paramiko.ServerInterface):
    """An SSH server on one end of a pair of sockets: lets everybody in, and does `act` with each command."""

    def __init__(self, act: Act) -> None:
        self.act = act

    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Timer(0.1, self.act, [channel]).start()  # once the client knows that it was begun
        return True


def connected(act: Act) -> paramiko.SSHClient:
    here, there = socket.socketpair()
    transport = paramiko.Transport(there)
    transport.add_server_key(KEY)
    transport.start_server(event=threading.Event(), server=Server(act))
    client = paramiko.SSHClient()
    client.get_host_keys().add("old", KEY.get_name(), KEY)
    client.connect("old", username="x", password="x", sock=here, allow_agent=False, look_for_keys=False)
    return client


def answers(channel: paramiko.Channel) -> None:
    channel.sendall(b"said")
    channel.sendall_stderr(b"warned")
    channel.send_exit_status(3)
    channel.shutdown_write()
    channel.close()


def ends(channel: paramiko.Channel) -> None:
    channel.sendall(b"half of ")
    channel.get_transport().close()


def ends_after_the_status(channel: paramiko.Channel) -> None:
    channel.sendall(b"half of ")
    channel.send_exit_status(0)
    channel.get_transport().close()


def test_a_command_that_ends_is_told_whole() -> None:
    host = RemoteHost("old", lambda: connected(answers))
    finished = host.run(["x"], check=False, timeout=TIMEOUT)
    assert (finished.status, finished.output, finished.error) == (3, "said", "warned")
    host.close()


@pytest.mark.parametrize("act", [ends, ends_after_the_status])
def test_a_connection_that_ends_in_the_middle_of_a_command_is_told_at_once(act: Act) -> None:
    host, began = RemoteHost("old", lambda: connected(act)), time.monotonic()
    with pytest.raises(AccessError, match=r"old: the SSH connection broke: .*in the middle of a command"):
        host.run(["x"], check=False, timeout=TIMEOUT)
    assert time.monotonic() - began < TIMEOUT / 2


def test_after_a_broken_connection_another_one_is_made() -> None:
    acts = iter([ends, answers])
    host = RemoteHost("old", lambda: connected(next(acts)))
    with pytest.raises(AccessError):
        host.run(["x"], timeout=TIMEOUT)
    assert host.run(["x"], check=False, timeout=TIMEOUT).output == "said"
    host.close()


def test_what_breaks_closes_no_connection_that_another_thread_has_made_meanwhile() -> None:
    """The other thread's commands would break with it."""
    newer = connected(answers)

    def ends_when_there_is_a_newer_one(channel: paramiko.Channel) -> None:
        host._client = newer
        ends(channel)

    host = RemoteHost("old", lambda: connected(ends_when_there_is_a_newer_one))
    with pytest.raises(AccessError):
        host.run(["x"], timeout=TIMEOUT)
    assert host._client is newer
    assert host.run(["x"], check=False, timeout=TIMEOUT).output == "said"
    host.close()


def test_two_threads_may_close_it_at_once() -> None:
    class ClosedMeanwhile:
        closed = 0

        def close(self) -> None:
            self.closed += 1
            host.close()

    client = ClosedMeanwhile()
    host = RemoteHost("old", lambda: pytest.fail("no connection is needed"))
    host._client = client  # type: ignore[assignment]
    host.close()
    assert client.closed == 1

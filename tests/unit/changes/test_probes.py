"""What a TCP connect tried on another host says, and what a host listens on."""

import base64
import hashlib
import socket

import pytest
from bascule.changes import probes
from bascule.changes.probes import Answer
from bascule.hosts.ssh import CommandFailed, Finished

from tests.unit.changes.fakes import FakeHost

LISTENING = """\
LISTEN 0 100 0.0.0.0:993 0.0.0.0:* users:(("dovecot",pid=1,fd=2))
LISTEN 0 100 [::]:143 [::]:*
LISTEN 0 100 127.0.0.1:9930 0.0.0.0:* users:(("x",pid=1,fd=2))
"""


def tried(status: int, error: str = "") -> FakeHost:
    host = FakeHost("client")
    host.answers["env LC_ALL=C timeout 5 bash"] = Finished(status, "", error, 0)
    return host


@pytest.mark.parametrize(
    ("status", "error", "answer"),
    [
        (0, "", "open"),
        (1, "connect: connect: Connection refused\nconnect: line 1: /dev/tcp/x/1: Connection refused\n", "refused"),
        (1, "connect: line 1: /dev/tcp/x/1: No route to host\n", "no answer"),
        (1, "connect: line 1: /dev/tcp/x/1: Network is unreachable\n", "no answer"),
        (124, "", "no answer"),
    ],
)
def test_what_the_connect_found(status: int, error: str, answer: str) -> None:
    assert probes.connect_from(tried(status, error), "old.obs.test", 993).answer == answer


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (1, "connect: old: Name or service not known\nconnect: line 1: /dev/tcp/old/993: Invalid argument\n"),
        (127, "bash: not found"),
    ],
)
def test_what_could_not_be_tried_is_no_refusal(status: int, error: str) -> None:
    with pytest.raises(CommandFailed):
        probes.connect_from(tried(status, error), "old.obs.test", 993)


def test_the_certificate_is_known_by_its_hash() -> None:
    host = tried(0)
    pem = base64.encodebytes(b"certificate").decode()
    host.answers["timeout 5 openssl"] = f"x\n-----BEGIN CERTIFICATE-----\n{pem}-----END CERTIFICATE-----\ny\n"
    expected = Answer("open", hashlib.sha256(b"certificate").hexdigest())
    assert probes.connect_from(host, "198.51.100.32", 995, tls_name="pop.obs.test") == expected


def test_a_port_without_tls_has_no_certificate() -> None:
    host = tried(0)
    host.answers["timeout 5 openssl"] = Finished(1, "CONNECTED(00000003)\n", "wrong version number", 0)
    answer = probes.connect_from(host, "198.51.100.32", 143, tls_name="imap.obs.test")
    assert (answer.is_open, answer.certificate, answer.error) == (True, "", "no TLS certificate: wrong version number")


def test_the_ports_that_a_host_listens_on_are_told_with_who_listens() -> None:
    host = FakeHost()
    host.answers["ss -H"] = LISTENING
    found = probes.listening(host, [143, 993, 995])
    assert found == {993: 'users:(("dovecot",pid=1,fd=2))', 143: "unknown"}


def test_from_here_an_open_port_and_a_closed_one_are_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert probes.connect_from_here("127.0.0.1", port).is_open
    assert probes.connect_from_here("127.0.0.1", port).answer == "refused"

"""Looking from outside: what answers on a port, seen from a host or from where we run; what a host listens on."""

import base64
import hashlib
import re
import socket
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from bascule.hosts.connections import AccessError
from bascule.hosts.ssh import CommandFailed, RemoteHost
from bascule.text.reason import reason

CONNECT_SECONDS = 5
KILLED_BY_TIMEOUT = 124  # timeout(1)
# bash and openssl, since they are on every server; address and port are its arguments, never part of the script.
CONNECT = 'exec 3<>"/dev/tcp/$1/$2"'
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n(.+?)-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """What a TCP connect found: `open`, `refused` or `no answer`; the certificate's SHA-256 when TLS was asked for."""

    answer: str
    certificate: str = ""
    error: str = ""

    @property
    def is_open(self) -> bool:
        return self.answer == "open"


def connect_from(remote: RemoteHost, address: str, port: int, *, tls_name: str = "") -> Answer:
    """Try a TCP connect on the host `remote`, and a TLS handshake for `tls_name` if that is given.

    Raises AccessError when it can't be tried: the host is down, lacks the tools, or does not know the name.
    """
    words = ["env", "LC_ALL=C", "timeout", str(CONNECT_SECONDS), "bash", "-c", CONNECT, "connect", address, str(port)]
    tried = remote.run(words, sudo=False, check=False)
    if tried.status == 0:
        return _handshake(remote, address, port, tls_name) if tls_name else Answer("open")
    if tried.status == KILLED_BY_TIMEOUT:
        return Answer("no answer", error=f"none within {CONNECT_SECONDS} s")
    said = tried.error.strip().splitlines()[-1:] or [""]
    reason = said[0].rpartition(": ")[2]
    if "refused" in reason:
        return Answer("refused", error=reason)
    if "route" in reason or "unreachable" in reason or "timed out" in reason:
        return Answer("no answer", error=reason)
    raise CommandFailed(remote.name, words, tried)


def _handshake(remote: RemoteHost, address: str, port: int, name: str) -> Answer:
    words = [
        "timeout",
        str(CONNECT_SECONDS),
        "openssl",
        "s_client",
        "-connect",
        f"{address}:{port}",
        "-servername",
        name,
    ]
    found = remote.run(words, sudo=False, check=False)
    shown = CERTIFICATE.search(found.output)
    if not shown:
        return Answer("open", error=f"no TLS certificate: {found.error.strip()[-300:]}")
    return Answer("open", hashlib.sha256(base64.b64decode(shown.group(1))).hexdigest())


def connect_from_here(address: str, port: int) -> Answer:
    """Try a TCP connect from where this program runs. Raises AccessError when the name is not known."""
    try:
        with socket.create_connection((address, port), CONNECT_SECONDS):
            return Answer("open")
    except socket.gaierror as error:
        raise AccessError(f"the name {address} can't be resolved here: {reason(error)}") from None
    except ConnectionRefusedError as error:
        return Answer("refused", error=str(error))
    except OSError as error:
        return Answer("no answer", error=str(error))


def listening(remote: RemoteHost, ports: Collection[int]) -> dict[int, str]:
    """Those of the ports on which the host listens for TCP, each with who listens, as `ss` says it."""
    lines = remote.run(["ss", "-H", "-l", "-t", "-n", "-p"]).output.splitlines()
    found: dict[int, str] = {}
    for words in (line.split() for line in lines):
        port = words[3].rpartition(":")[2]
        if port.isdigit() and int(port) in ports:
            found[int(port)] = words[5] if len(words) > 5 else "unknown"
    return found


def wait_for(look: Callable[[], bool], seconds: float, every: float = 0.5) -> bool:
    """Look until it is so, at most for `seconds`; whether it came to be."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True

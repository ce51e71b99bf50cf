"""Looking from outside: what answers on a port, seen from a host or from where we run; what a host listens on."""

import json
import socket
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from bascule.access import AccessError, RemoteHost

CONNECT_SECONDS = 5
# Runs on the host that looks: prints one JSON object, so that `refused` and `no answer` are told apart.
PROBE = """\
import hashlib, json, socket, ssl, sys
address, port, name, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
found = {"answer": "open", "certificate": "", "error": ""}
try:
    plain = socket.create_connection((address, port), seconds)
except socket.gaierror as error:
    found.update(answer="unknown name", error=str(error))
except ConnectionRefusedError as error:
    found.update(answer="refused", error=str(error))
except OSError as error:
    found.update(answer="no answer", error=str(error))
else:
    if name:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            secured = context.wrap_socket(plain, server_hostname=name)
            found["certificate"] = hashlib.sha256(secured.getpeercert(True)).hexdigest()
        except OSError as error:
            found["error"] = str(error)
print(json.dumps(found))
"""


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

    Raises AccessError when it can't be tried: the host is down, has no python3, or does not know the name.
    """
    command = ["python3", "-c", PROBE, address, str(port), tls_name, str(CONNECT_SECONDS)]
    found = Answer(**json.loads(remote.run(command, sudo=False).output))
    if found.answer == "unknown name":
        raise AccessError(f"{remote.name} can't resolve the name {address}: {found.error}")
    return found


def connect_from_here(address: str, port: int) -> Answer:
    """Try a TCP connect from where this program runs. Raises AccessError when the name is not known."""
    try:
        with socket.create_connection((address, port), CONNECT_SECONDS):
            return Answer("open")
    except socket.gaierror as error:
        raise AccessError(f"the name {address} can't be resolved here: {error}") from None
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

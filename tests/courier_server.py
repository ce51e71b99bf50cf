"""Courier's imapd as a second kind of server: no LITERAL+, no MULTIAPPEND, no CONDSTORE, everything below `INBOX.`.

Debian does not let Courier and Dovecot be installed together, so that its packages are only unpacked. Its imapd takes a
logged-in connection on its standard input; the small front here does the login.
"""

import contextlib
import os
import re
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bascule.hosts.login import Endpoint, Login
from bascule.mailbox.imap.server import Server

from tests.mail_servers import PASSWORD
from tests.unpacked import environment, unpacked

PACKAGES = [
    "courier-imap",
    "courier-base",
    "courier-authlib",
    "libcourier-unicode4",
    "gamin",
    "libgamin0",
    "libgdbm6",
    "libidn12",
    "libpcre3",
]
CAPABILITY = "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE"


@dataclass
class Courier:
    """A running front. Every user exists; the password is `secret`."""

    home: Path
    port: int

    def server(self, user: str, **options: object) -> Server:
        endpoint = Endpoint("127.0.0.1", self.port, "plain", timeout=30.0)
        return Server(endpoint, Login(user, PASSWORD), **options)  # type: ignore[arg-type]


@contextlib.contextmanager
def courier(home: Path, *, besides: str = "") -> Iterator[Courier]:
    """A front on a port of loopback until the end of the block. Raises PackagesMissing.

    `besides`: capabilities that it announces beyond the usual ones.
    """
    root = unpacked("courier", PACKAGES)
    imapd = root / "usr" / "bin" / "imapd"
    watcher = root / "usr" / "libexec" / "gam_server"  # without it imapd waits a second for it at every SELECT

    class Front(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            user = self._log_in()
            if not user:
                return
            maildir = home / user / "Maildir"
            for part in ("cur", "new", "tmp"):
                (maildir / part).mkdir(parents=True, exist_ok=True)
            variables = {
                **environment(root),
                "GAMIN_DEBUG_SERVER": str(watcher),
                "AUTHENTICATED": user,
                "HOME": str(home / user),
                "IMAP_KEYWORDS": "1",
                "IMAP_CAPABILITY": f"{CAPABILITY} {besides}".rstrip(),
                "IMAP_USELOCKS": "0",
            }
            with subprocess.Popen(
                [str(imapd), "Maildir"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env=variables, cwd=home / user,
            ) as process:  # fmt: skip
                assert process.stdin is not None and process.stdout is not None
                while b"PREAUTH" not in process.stdout.readline():
                    pass
                threading.Thread(target=self._answers, args=(process.stdout.fileno(),), daemon=True).start()
                with contextlib.suppress(OSError):
                    self.connection.sendall(self.tag + b" OK LOGIN Ok.\r\n")
                    while data := self.connection.recv(65536):
                        os.write(process.stdin.fileno(), data)
                process.terminate()

        def _log_in(self) -> str:
            self.connection.sendall(b"* OK Courier-IMAP ready.\r\n")
            while line := self._line():
                self.tag, verb, *rest = line.split(b" ", 2)
                if verb.strip().upper() == b"CAPABILITY":
                    self.connection.sendall(b"* CAPABILITY IMAP4rev1\r\n" + self.tag + b" OK done\r\n")
                elif verb.upper() == b"LOGIN":
                    words = re.match(rb'"?([^" ]+)"? "?([^"\r]+)"?', rest[0])
                    if words and words[2].strip() == PASSWORD.encode():
                        return words[1].decode()
                    self.connection.sendall(self.tag + b" NO Login failed.\r\n")
            return ""

        def _line(self) -> bytes:
            line = b""
            while not line.endswith(b"\n"):
                octet = self.connection.recv(1)
                if not octet:
                    return b""
                line += octet
            return line

        def _answers(self, descriptor: int) -> None:
            with contextlib.suppress(OSError):
                while data := os.read(descriptor, 65536):
                    self.connection.sendall(data)
                self.connection.shutdown(socket.SHUT_RDWR)

    class Threads(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Threads(("127.0.0.1", 0), Front) as front:
        threading.Thread(target=front.serve_forever, daemon=True).start()
        yield Courier(home, front.server_address[1])
        front.shutdown()

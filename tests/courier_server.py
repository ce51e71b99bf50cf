"""Courier's imapd as a second kind of server: no LITERAL+, no MULTIAPPEND, no CONDSTORE, everything below `INBOX.`.

Debian does not let Courier and Dovecot be installed together, so that its packages are only unpacked. Its imapd takes a
logged-in connection on its standard input (`tests/imap_front.py`).
"""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bascule.hosts.login import Endpoint, Login
from bascule.mailbox.imap.server import Server

from tests.imap_front import login_front
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

    def start(user: str) -> "subprocess.Popen[bytes]":
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
        return subprocess.Popen(
            [str(imapd), "Maildir"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=variables, cwd=home / user,
        )  # fmt: skip

    with login_front(start, b"Courier-IMAP ready.") as port:
        yield Courier(home, port)

"""Private ManageSieve servers for tests: Pigeonhole and Cyrus's timsieved, with directories of their own."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bascule.hosts.login import Endpoint, Login
from bascule.sieve.managesieve import ManageSieve, connected

from tests.cyrus_server import cyrus
from tests.mail_servers import PASSWORD, dovecot, free_port

_PIGEONHOLE = """
protocols = imap sieve
service managesieve-login {{
  inet_listener sieve {{
    port = {port}
  }}
  chroot =
}}
plugin {{
  sieve = file:~/sieve;active=~/.dovecot.sieve
  {settings}
}}
"""


@dataclass
class SieveServer:
    """A running server. Every user exists; the password is `secret`. `homes`: where Pigeonhole's users keep scripts."""

    port: int
    imap_port: int
    homes: Path | None = None

    def connected(self, user: str) -> contextlib.AbstractContextManager[ManageSieve]:
        endpoint = Endpoint("127.0.0.1", self.port, "plain", timeout=20.0)
        return connected(endpoint, Login(user, PASSWORD))


@contextlib.contextmanager
def pigeonhole(home: Path, settings: str = "", **options: str) -> Iterator[SieveServer]:
    """Dovecot with ManageSieve until the end of the block. `settings`: more of the plugin's; `options`: Dovecot's."""
    port = free_port()
    with dovecot(home, extra=_PIGEONHOLE.format(port=port, settings=settings), **options) as server:  # type: ignore[arg-type]
        yield SieveServer(port, server.port, home / "mail")


@contextlib.contextmanager
def timsieved(home: Path, extra: str = "") -> Iterator[SieveServer]:
    """Cyrus until the end of the block; a mailbox is made at the first login by IMAP. Raises PackagesMissing."""
    with cyrus(home, alt=False, extra=f"autocreate_users: anyone\nsieve_maxscripts: 50\n{extra}") as server:
        yield SieveServer(server.sieve_port, server.port)

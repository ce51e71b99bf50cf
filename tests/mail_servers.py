"""Private IMAP servers for tests and benchmarks: each in a directory of its own, on a port of loopback."""

import contextlib
import os
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bascule.hosts.login import Endpoint, Login
from bascule.mailbox.doveadm import Doveadm, opener
from bascule.mailbox.imap.server import Server

from tests.local_host import LocalHost

PASSWORD = "secret"
_PREFIX = "bascule-imap-"

_DOVECOT = """
protocols = imap
base_dir = {home}/run
state_dir = {home}/run
log_path = {home}/dovecot.log
ssl = {ssl}
{tls}
disable_plaintext_auth = no
listen = 127.0.0.1
{users}
first_valid_uid = 1
mail_location = {location}
mail_fsync = {fsync}
{logins}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={home}/mail/%u
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
  service_count = 0
  chroot =
  client_limit = 1000
  process_min_avail = 1
}}
service anvil {{
  chroot =
}}
service imap {{
  service_count = 100
  process_limit = 200
}}
service stats {{
  chroot =
}}
service doveadm {{
  chroot =
}}
mail_max_userip_connections = 100
protocol imap {{
  {capability}
  imap_max_line_length = 8M
}}
namespace inbox {{
  inbox = yes
  separator = {separator}
  prefix = {prefix}
  {special}
}}
{extra}
"""

_SPECIAL = """
  mailbox Sent {
    auto = subscribe
    special_use = \\Sent
  }
"""


@dataclass
class Dovecot:
    """A running Dovecot. Every user exists; the password is `secret`."""

    home: Path
    port: int
    tls_port: int
    process: subprocess.Popen[bytes]
    ca_file: Path | None = None
    without: frozenset[str] = field(default_factory=frozenset)

    def server(self, user: str, **options: object) -> Server:
        endpoint = Endpoint("127.0.0.1", self.port, "plain", timeout=30.0)
        return Server(endpoint, Login(user, PASSWORD), **options)  # type: ignore[arg-type]

    def doveadm(self, user: str) -> Callable[[], Doveadm]:
        """What opens a channel for commands to it, with the program that is sent to other hosts, run here."""
        return opener(LocalHost("new"), user, base_dir=str(self.home / "run"))  # type: ignore[arg-type]

    @property
    def log(self) -> str:
        path = self.home / "dovecot.log"
        return path.read_text(errors="replace") if path.exists() else ""


@contextlib.contextmanager
def mail_directory() -> Iterator[Path]:
    """A directory that the servers' own user can enter (pytest's are root's alone).

    Its name holds our process: what a run left that was killed is cleared away by the next one.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = left.name.removeprefix(_PREFIX).split("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


WITH_US = ("setpriv", "--pdeathsig", "TERM")  # before a server's command: it ends when we do, however that happens


def free_port() -> int:
    """A port that nobody listens on, below those that the kernel gives to connections.

    One of these could be taken by a connection before the server has it, and even by the one that tries whether it is
    there: TCP lets a socket connect to itself. Drawn by lot, so that processes beside us draw others.
    """
    first_of_connections = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            port = random.SystemRandom().randrange(10_000, first_of_connections)
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def dovecot(
    home: Path,
    *,
    separator: str = ".",
    prefix: str = "",
    location: str = "maildir:~/Maildir",
    special: bool = False,
    fsync: str = "never",
    without: str = "",
    capability: str = "",
    certificate: tuple[Path, Path] | None = None,
    logins: str = "",
    extra: str = "",
) -> Iterator[Dovecot]:
    """A private Dovecot until the end of the block. `capability` replaces what it announces.

    `logins`: passdb and userdb blocks that are asked before those by which every user exists.
    """
    home.mkdir(parents=True, exist_ok=True)
    (home / "mail").mkdir(exist_ok=True)
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    if os.geteuid() == 0:
        os.chown(home / "mail", account.pw_uid, account.pw_gid)
        users = ""
    else:
        users = f"default_internal_user = {account.pw_name}\ndefault_login_user = {account.pw_name}"
    port, tls_port = free_port(), free_port()
    tls = f"ssl_cert = <{certificate[0]}\nssl_key = <{certificate[1]}" if certificate else ""
    config = home / "dovecot.conf"
    config.write_text(
        _DOVECOT.format(
            home=home, ssl="yes" if certificate else "no", tls=tls, users=users, location=location, fsync=fsync,
            password=PASSWORD, uid=account.pw_uid, gid=account.pw_gid, port=port, tls_port=tls_port,
            capability=f"imap_capability = {capability}" if capability else "", separator=separator, prefix=prefix,
            special=_SPECIAL if special else "", logins=logins, extra=extra,
        )
    )  # fmt: skip
    binary = shutil.which("dovecot", path="/usr/sbin:/usr/bin:/sbin") or "dovecot"
    process = subprocess.Popen(
        [*WITH_US, binary, "-F", "-c", str(config)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        wait_for_port(port, process)
        yield Dovecot(home, port, tls_port, process, without=frozenset(without.split()))
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def two_dovecots(
    old: Mapping[str, Any] | None = None, new: Mapping[str, Any] | None = None, **both: Any
) -> Iterator[tuple[Dovecot, Dovecot]]:
    """Old with Maildirs and `.` between folders' names, new with sdboxes and `/`; options for one of them, or both."""
    with (
        mail_directory() as home,
        dovecot(home / "old", **{**both, **(old or {})}) as one,
        dovecot(home / "new", **{"separator": "/", "location": "sdbox:~/sdbox", **both, **(new or {})}) as other,
    ):
        yield one, other


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 20.0) -> None:
    """Until the port answers. Raises RuntimeError when the process ends or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"no server on port {port} (exit status {process.poll()})")

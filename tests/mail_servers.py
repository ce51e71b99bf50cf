"""Private IMAP servers for tests and benchmarks: each in a directory of its own, on a port of loopback."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bascule.access import Endpoint, Login
from bascule.mailbox.server import Server

PASSWORD = "secret"

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

    @property
    def log(self) -> str:
        path = self.home / "dovecot.log"
        return path.read_text(errors="replace") if path.exists() else ""


@contextlib.contextmanager
def mail_directory() -> Iterator[Path]:
    """A directory that the servers' own user can enter (pytest's are root's alone)."""
    with tempfile.TemporaryDirectory(prefix="bascule-imap-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
    process = subprocess.Popen([binary, "-F", "-c", str(config)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
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


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 20.0) -> None:
    """Until the port answers. Raises RuntimeError when the process ends or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"no server on port {port} (exit status {process.poll()})")

"""Cyrus's imapd as a third kind of server: folders in a database, flags by user, and namespaces of its own.

Its master runs with a configuration of its own, as `nobody`; passwords are checked by a saslauthd of a few lines.
"""

import contextlib
import os
import pwd
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bascule.hosts.login import Endpoint, Login
from bascule.mailbox.imap.server import Server

from tests.mail_servers import PASSWORD, WITH_US, free_port, wait_for_port
from tests.unpacked import environment, unpacked

PACKAGES = ["cyrus-imapd", "cyrus-common", "libxapian30", "libpcre3", "libical3"]

_IMAPD = """
configdirectory: {home}/lib
defaultpartition: default
partition-default: {home}/spool
proc_path: {home}/proc
mboxname_lockpath: {home}/lock
cyrus_user: nobody
admins: cyrus
altnamespace: {alt}
unixhierarchysep: {unix}
allowplaintext: yes
sasl_pwcheck_method: saslauthd
sasl_saslauthd_path: {home}/saslauthd
sasl_mech_list: PLAIN
autocreate_quota: 0
conversations: no
sievedir: {home}/sieve
virtdomains: off
skiplist_unsafe: yes
{extra}
"""
_MASTER = """
START {{
}}
SERVICES {{
  imap cmd="{root}/usr/lib/cyrus/bin/imapd -C {home}/imapd.conf" listen="127.0.0.1:{port}" prefork=1 maxchild=100
  sieve cmd="{root}/usr/lib/cyrus/bin/timsieved -C {home}/imapd.conf" listen="127.0.0.1:{sieve_port}" prefork=0
}}
EVENTS {{
}}
"""


@dataclass
class Cyrus:
    """A running Cyrus. Every user exists; the password is `secret`. The administrator is `cyrus`."""

    home: Path
    port: int
    sieve_port: int

    def server(self, user: str, **options: object) -> Server:
        endpoint = Endpoint("127.0.0.1", self.port, "plain", timeout=30.0)
        return Server(endpoint, Login(user, PASSWORD), **options)  # type: ignore[arg-type]

    def file_with(self, octets: bytes) -> Path:
        """The file of the one message in which these octets stand."""
        (found,) = (path for path in self.home.glob("spool/uuid/*/*/*/[0-9]*.") if octets in path.read_bytes())
        return found


@contextlib.contextmanager
def cyrus(home: Path, *, alt: bool = True, separator: str = ".", extra: str = "") -> Iterator[Cyrus]:
    """A Cyrus until the end of the block. Raises PackagesMissing.

    `alt`: folders stand beside INBOX; else below it, and shared ones have no prefix (Cyrus's `altnamespace: no`).
    """
    root = unpacked("cyrus", PACKAGES)
    for part in ("lib/db", "lib/socket", "lib/proc", "lib/log", "lib/msg", "spool", "proc", "lock", "sieve"):
        (home / part).mkdir(parents=True, exist_ok=True)
    port, sieve_port, unix = free_port(), free_port(), "yes" if separator == "/" else "no"
    (home / "imapd.conf").write_text(_IMAPD.format(home=home, alt="yes" if alt else "no", unix=unix, extra=extra))
    (home / "cyrus.conf").write_text(_MASTER.format(root=root, home=home, port=port, sieve_port=sieve_port))
    owner = pwd.getpwnam("nobody")
    for path in (home, *home.rglob("*")):
        os.chown(path, owner.pw_uid, owner.pw_gid)
    with _saslauthd(home / "saslauthd"):
        process = subprocess.Popen(
            [*WITH_US, "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", root / "usr/lib/cyrus/bin/master",
             "-C", home / "imapd.conf", "-M", home / "cyrus.conf", "-p", home / "master.pid"],
            env=environment(root), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,  # its master ends by a signal to its whole group, where another worker's Cyrus is
        )  # fmt: skip
        try:
            wait_for_port(port, process)
            yield Cyrus(home, port, sieve_port)
        finally:
            process.terminate()
            process.wait(15)


@contextlib.contextmanager
def _saslauthd(path: Path) -> Iterator[None]:
    """Whoever says the password gets in (four strings, each with its length before it; the answer is one)."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o777)
        listener.listen(100)

        def answer(client: socket.socket) -> None:
            with client, contextlib.suppress(OSError, struct.error):
                words = []
                for _ in range(4):
                    (size,) = struct.unpack("!H", client.recv(2, socket.MSG_WAITALL))
                    words.append(client.recv(size, socket.MSG_WAITALL) if size else b"")
                client.sendall(b"\0\2" + (b"OK" if words[1] == PASSWORD.encode() else b"NO"))

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield
        listener.shutdown(socket.SHUT_RDWR)

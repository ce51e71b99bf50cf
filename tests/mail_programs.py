"""Real mail programs that keep a cache, and the name of the service through which they reach old before and new after.

Each program runs to its end and leaves its cache in a directory: mbsync and offlineimap (a Maildir), mutt (caches of
headers and of messages, by CONDSTORE and QRESYNC), fetchmail (POP3, mail left on the server).
"""

import contextlib
import os
import pty
import re
import select
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.mail_servers import PASSWORD

SECONDS = 60


@dataclass
class Service:
    """A port that leads to one server or another. `texts`, `headers`: of messages, that IMAP gave through it."""

    target: int
    port: int = 0
    texts: int = 0
    headers: int = 0
    _ends: list[socket.socket] = field(default_factory=list)

    def serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
                threading.Thread(target=self._pump, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, True), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
                if counted:
                    lines = (rest + data).split(b"\r\n")
                    rest = lines.pop()
                    self.texts += sum(b"BODY[] " in line for line in lines)
                    self.headers += sum(b"BODY[HEADER" in line for line in lines)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def service(target: int) -> Iterator[Service]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Service(target, listener.getsockname()[1])
        threading.Thread(target=made.serve, args=(listener,), daemon=True).start()
        yield made
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


class Refused(Exception):
    """Raised when a program goes no further with a folder. `found`: what it has."""

    def __init__(self, found: Counter[str]) -> None:
        super().__init__()
        self.found = found


def run(command: list[str], home: Path) -> str:
    environ = {**os.environ, "HOME": str(home), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False)
    said = done.stdout + done.stderr
    assert done.returncode in (0, 1) or "validity" in said, f"{command[0]}: {said[-2000:]}"
    return said


def in_maildir(place: Path) -> Counter[str]:
    """How often each subject is there."""
    found: Counter[str] = Counter()
    for file in place.rglob("*"):
        if file.parent.name in ("cur", "new") and file.is_file():
            subject = re.search(rb"^Subject: (.*?)\r?$", file.read_bytes(), re.MULTILINE)
            found[subject[1].decode() if subject else "?"] += 1
    return found


class Mbsync:
    inbox_only = False

    def __init__(self, home: Path, user: str, port: int) -> None:
        self.home, self.mail = home, home / "mail"
        self.mail.mkdir(parents=True)
        (home / "rc").write_text(
            f"IMAPAccount s\nHost 127.0.0.1\nPort {port}\nUser {user}\nPass {PASSWORD}\nSSLType None\n"
            f"AuthMechs LOGIN\n\nIMAPStore far\nAccount s\n\nMaildirStore near\nPath {self.mail}/\n"
            f"Inbox {self.mail}/INBOX\nSubFolders Verbatim\n\nChannel all\nFar :far:\nNear :near:\n"
            f"Patterns *\nCreate Near\nSync All\nExpunge None\nSyncState *\n"
        )

    def connect(self) -> Counter[str]:
        run(["mbsync", "-q", "-c", str(self.home / "rc"), "-a"], self.home)
        return in_maildir(self.mail)


class Offlineimap:
    inbox_only = False

    def __init__(self, home: Path, user: str, port: int) -> None:
        self.home, self.mail = home, home / "mail"
        self.mail.mkdir(parents=True)
        (home / "rc").write_text(
            f"[general]\naccounts = a\nmetadata = {home}/meta\nui = quiet\n[Account a]\nlocalrepository = l\n"
            f"remoterepository = r\n[Repository l]\ntype = Maildir\nlocalfolders = {self.mail}\n[Repository r]\n"
            f"type = IMAP\nremotehost = 127.0.0.1\nremoteport = {port}\nremoteuser = {user}\n"
            f"remotepass = {PASSWORD}\nssl = no\nstarttls = no\n"
        )

    def connect(self) -> Counter[str]:
        said = run(["offlineimap", "-o", "-c", str(self.home / "rc")], self.home)
        if "UID validity problem" in said:
            raise Refused(in_maildir(self.mail))
        return in_maildir(self.mail)


class Mutt:
    """It shows the folder's list, reads each message into its cache, and writes what it has shown into a mailbox."""

    inbox_only = True

    def __init__(self, home: Path, user: str, port: int) -> None:
        self.home = home
        for name in ("headers", "bodies"):
            (home / name).mkdir(parents=True)
        self.folder = f"imap://{user}@127.0.0.1:{port}/INBOX"
        (home / "rc").write_text(
            f"set imap_pass={PASSWORD} ssl_starttls=no ssl_force_tls=no imap_condstore=yes imap_qresync=yes\n"
            f"set header_cache={home}/headers message_cachedir={home}/bodies\n"
            "set confirmappend=no confirmcreate=no move=no delete=no quit=yes copy=no wait_key=no imap_peek=yes\n"
            "set sort=mailbox-order index_format='%Z %s'\n"
        )

    def connect(self) -> Counter[str]:
        out = self.home / "shown"
        out.unlink(missing_ok=True)
        keys = f"<tag-pattern>~A<enter><tag-prefix><copy-message>{out}<enter>"
        self._keys(["mutt", "-n", "-F", str(self.home / "rc"), "-f", self.folder, "-e", f"push '{keys}<exit>'"])
        found: Counter[str] = Counter()
        if out.exists():
            found.update(re.findall(r"^Subject: (.*)$", out.read_text(), re.MULTILINE))
        return found

    def _keys(self, command: list[str]) -> None:
        """A terminal for it."""
        pid, terminal = pty.fork()
        if not pid:
            os.environ.update(HOME=str(self.home), TERM="xterm", LC_ALL="C.UTF-8")
            os.execvp(command[0], command)
        deadline = time.monotonic() + SECONDS
        with contextlib.suppress(OSError):
            while select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0]:
                if not os.read(terminal, 65536):
                    break
        if time.monotonic() >= deadline:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


class Fetchmail:
    """By POP3; mail stays on the server, and what was fetched once is known by its UIDL."""

    inbox_only = True

    def __init__(self, home: Path, user: str, port: int) -> None:
        self.home, self.out = home, home / "fetched"
        self.out.mkdir(parents=True)
        (home / "rc").write_text(
            f"set idfile {home}/ids\npoll 127.0.0.1 service {port} protocol pop3 uidl\n"
            f"user {user} password {PASSWORD} keep fetchall sslproto ''\n"
            f"mda \"sh -c 'cat > $(mktemp {self.out}/XXXXXXXX)'\"\n".replace(" fetchall", "")
        )
        (home / "rc").chmod(0o600)

    def connect(self) -> Counter[str]:
        run(["fetchmail", "-f", str(self.home / "rc"), "--silent", "--nosyslog", "--pidfile", str(self.home / "pid")],
            self.home)  # fmt: skip
        found: Counter[str] = Counter()
        for file in self.out.iterdir():
            found.update(re.findall(r"^Subject: (.*)$", file.read_text(), re.MULTILINE))
        return found

"""GNU mailutils' imap4d as a fourth kind of server: mbox files, no keywords, no UIDPLUS; Debian has no UW-IMAP.

It writes a UID and flags into the message's header in the file, and shows them: the octets of a message change with its
flags, those of the first one with every mail that comes. It writes them when a session ends that could write; a folder
with new mail has another UIDVALIDITY every second until then.
"""

import contextlib
import imaplib
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bascule.hosts.login import Endpoint, Login
from bascule.mailbox.imap.server import Server

from tests.imap_front import login_front
from tests.mail_servers import PASSWORD, WITH_US
from tests.mailbox_states import Account, date, text

FIELDS = rb"(?m)^(?:X-UID|X-IMAPbase|Status):.*\r\n"  # what it puts into messages
_STATUS = {"S": "R", "A": "A", "F": "F", "T": "D", "D": "d"}  # flags, as the file has them

_CONFIG = """
logging {{ syslog no; }};
preauth stdio;
mailbox {{ mailbox-pattern "{home}/inbox"; mailbox-type mbox; }};
namespace personal {{ prefix "" {{ directory "{home}/mail"; delimiter "/"; mailbox-type mbox; }}; }};
"""


@dataclass
class Imap4d:
    """A running front. Every user exists; the password is `secret`."""

    home: Path
    port: int

    def server(self, user: str, **options: object) -> Server:
        endpoint = Endpoint("127.0.0.1", self.port, "plain", timeout=30.0)
        return Server(endpoint, Login(user, PASSWORD), **options)  # type: ignore[arg-type]

    def account(self, user: str) -> Account:
        return Imap4dAccount(self.port, user, "/", files=self.home / user)


@dataclass
class Imap4dAccount(Account):
    """One user's mailbox. Mail comes by delivery into the files, since APPEND loses what it was told of dates."""

    files: Path = Path()
    waiting: list[tuple[str, str]] = field(default_factory=list)
    server_fields: bytes = FIELDS

    def append(self, folder: str, name: str, flags: str = "") -> None:
        self.waiting.append((name, flags))

    def _fill(self, folder: str, wanted: Counter[tuple[str, str]]) -> None:
        super()._fill(folder, wanted)
        self._ok(self.client.unselect())  # it writes the file now
        path = self.files / "inbox" if folder == "INBOX" else self.files / "mail" / self._unquoted(folder)
        with path.open("ab") as file:
            for name, flags in self.waiting:
                file.write(_in_mbox(name, flags))
        self.waiting.clear()

    def _unquoted(self, folder: str) -> str:
        return self.wire_name(folder)[1:-1]


def _in_mbox(name: str, flags: str) -> bytes:
    instant = imaplib.Internaldate2tuple(b"INTERNALDATE " + date(name).encode())
    assert instant is not None
    when = time.asctime(time.gmtime(time.mktime(instant)))
    letters = "".join(_STATUS[letter] for letter in flags.partition("+")[0])
    fields = f"Status: {letters}O\n" if letters else ""
    head, body = text(name).replace(b"\r\n", b"\n").split(b"\n\n", 1)
    return f"From someone@obs.test {when}\n".encode() + head + b"\n" + fields.encode() + b"\n" + body + b"\n"


@contextlib.contextmanager
def imap4d(home: Path) -> Iterator[Imap4d]:
    """A front on a port of loopback until the end of the block."""
    program = shutil.which("imap4d", path="/usr/sbin:/usr/bin") or "imap4d"

    def start(user: str) -> "subprocess.Popen[bytes]":
        own = home / user
        (own / "mail").mkdir(parents=True, exist_ok=True)
        config = own / "imap4d.conf"
        if not config.exists():
            config.write_text(_CONFIG.format(home=own))
        return subprocess.Popen(
            [*WITH_US, program, "--test", "--inetd", f"--config-file={config}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=own,
        )  # fmt: skip

    with login_front(start, b"imap4d ready") as port:
        yield Imap4d(home, port)

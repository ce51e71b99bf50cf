"""The lab's own way into the mail servers, by master login, apart from Bascule's: to fill them and to count."""

import imaplib
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from imapclient import IMAPClient, imap_utf7
from imapclient.exceptions import IMAPClientError

from lab.corpus.mailboxes import BROKEN_FOLDER, CLOSED_ON_NEW, DAMAGED_FOLDER, LOCKED_FOLDER, PREFIX
from lab.facts import HOSTS
from lab.hosts.secrets import MASTER_USER, Secrets, load_or_make
from lab.paths import Instance

Side = Literal["old", "new"]
TIMEOUT = 120  # seconds
BATCH_MESSAGES = 100
BATCH_BYTES = 4_000_000


class StoreError(Exception):
    """Raised when a mail server refuses what the lab wants of it."""


@dataclass(frozen=True)
class Appended:
    """One message for APPEND: flags and keywords must be atoms, the data must have neither NUL nor bare line ends."""

    data: bytes
    flags: Sequence[str]
    date: datetime


class Stores:
    """Opens mailboxes of one instance. Runs inside its network."""

    def __init__(self, instance: Instance) -> None:
        self._secrets: Secrets = load_or_make(instance.secrets)
        self._tls = ssl.create_default_context(cafile=str(instance.ca_certificate))

    def writer(self, side: Side, account: str) -> "Writer":
        return Writer(HOSTS[side].fqdn, self._tls, *self._login(side, account))

    def reader(self, side: Side, account: str) -> IMAPClient:
        """A client logged in for the account. Raises StoreError when the server refuses the login."""
        client = IMAPClient(HOSTS[side].fqdn, ssl_context=self._tls, timeout=TIMEOUT)
        client.normalise_times = False
        try:
            client.login(*self._login(side, account))
        except imaplib.IMAP4.error as error:
            raise StoreError(f"{side} refuses the master login for {account}: {error}") from None
        return client

    def _login(self, side: Side, account: str) -> tuple[str, str]:
        return f"{account}*{MASTER_USER}", self._secrets.master_old if side == "old" else self._secrets.master_new


def folders_to_read(client: IMAPClient) -> list[str]:
    """The mailbox's folders, without those in which the old server breaks off, and one that new does not open."""
    listed = client.list_folders()
    on_old = any(name.startswith(PREFIX) for _, _, name in listed)
    closed = {b"\\Noselect", b"\\NonExistent"}
    names = [name for flags, _, name in listed if not closed & {*flags} and not (on_old and is_damaged(name))]
    return [name for name in names if name != CLOSED_ON_NEW or _opens(client, name)]


def _opens(client: IMAPClient, folder: str) -> bool:
    """Whether the server opens it: on new only since somebody has mended it."""
    try:
        client.select_folder(folder, readonly=True)
    except IMAPClientError:
        return False
    return True


def is_damaged(name: str) -> bool:
    """Whether this folder of old can't be read as a whole: the lab has made it so."""
    return name in {PREFIX + damaged for damaged in (LOCKED_FOLDER, BROKEN_FOLDER, DAMAGED_FOLDER)}


class Writer:
    """Fills one mailbox. Every method raises StoreError with the server's words."""

    def __init__(self, host: str, tls: ssl.SSLContext, user: str, password: str) -> None:
        self._imap = imaplib.IMAP4_SSL(host, ssl_context=tls, timeout=TIMEOUT)
        self._imap.login(user, password)

    def create(self, folder: str) -> None:
        self._run(self._imap.create(_quoted(folder)), f"CREATE {folder!r}")

    def subscribe(self, folder: str) -> None:
        self._run(self._imap.subscribe(_quoted(folder)), f"SUBSCRIBE {folder!r}")

    def share(self, folder: str, identifier: str, rights: str) -> None:
        """Give somebody rights on a folder (RFC 4314)."""
        self._run(self._imap.setacl(_quoted(folder), identifier, rights), f"SETACL {folder!r}")

    def note(self, folder: str, entry: str, value: str) -> None:
        """Note something beside a folder (RFC 5464)."""
        literal = value.encode()
        command = f"fill SETMETADATA {_quoted(folder)} ({entry} {{{len(literal)}+}}\r\n".encode()
        self._imap.send(command + literal + b")\r\n")
        self._answer(f"SETMETADATA {folder!r} {entry}")

    def append(self, folder: str, messages: Sequence[Appended]) -> None:
        """Store the messages by MULTIAPPEND (RFC 3502), in order."""
        for batch in _batches(messages):
            parts = [b"fill APPEND " + _quoted(folder).encode()]
            for message in batch:
                date = message.date.strftime("%d-%b-%Y %H:%M:%S %z")
                parts.append(f' ({" ".join(message.flags)}) "{date}" {{{len(message.data)}+}}\r\n'.encode())
                parts.append(message.data)
            self._imap.send(b"".join(parts) + b"\r\n")
            self._answer(f"APPEND to {folder!r}")

    def close(self) -> None:
        self._imap.logout()

    def _answer(self, act: str) -> None:
        """Read up to the answer to a command that was sent with the tag `fill`."""
        while not (line := self._imap.readline()).startswith(b"fill "):
            if not line:
                raise StoreError(f"{act}: the server closed the connection")
        if not line.startswith(b"fill OK"):
            raise StoreError(f"{act}: {line.decode(errors='replace').strip()}")

    def _run(self, answer: tuple[str, list], act: str) -> None:
        if answer[0] != "OK":
            raise StoreError(f"{act}: {answer[1]}")


def _quoted(folder: str) -> str:
    """The name as IMAP writes it: modified UTF-7, quoted."""
    return '"' + imap_utf7.encode(folder).decode().replace("\\", "\\\\").replace('"', '\\"') + '"'


def _batches(messages: Sequence[Appended]) -> Iterator[list[Appended]]:
    batch: list[Appended] = []
    for message in messages:
        if batch and (len(batch) == BATCH_MESSAGES or sum(len(m.data) for m in batch) > BATCH_BYTES):
            yield batch
            batch = []
        batch.append(message)
    if batch:
        yield batch

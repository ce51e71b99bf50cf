"""What a POP3 server says of one account's messages, and what IMAP says of the same INBOX."""

import contextlib
import poplib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bascule.hosts import imap, tls
from bascule.mailbox.imap.server import Server
from bascule.text.reason import reason

TIMEOUT = 120.0  # seconds; a large mailbox is opened slowly by POP3
AT_ONCE = 1000  # UIDs in one command: servers limit a command's length
UIDL = re.compile(rb"[\x21-\x7e]{1,70}")  # RFC 1939 section 7
SIZE = re.compile(rb"[0-9]{1,18}(?: |\Z)")  # a server may say more behind it


class ListingFailed(Exception):
    """Raised when a server doesn't list an account's messages as its protocol wants; its text says why."""


@dataclass(frozen=True)
class Listed:
    """One message as POP3 lists it: its identifier and its size in bytes."""

    uidl: str
    size: int


def list_by_pop3(server: Server, port: int) -> list[Listed]:
    """The account's messages in the server's order. Raises ListingFailed."""
    try:
        with _pop3(server, port) as session:
            sizes, uidls = (dict(map(_numbered, told)) for told in (session.list()[1], session.uidl()[1]))
    except (poplib.error_proto, OSError) as error:
        raise ListingFailed(f"POP3 at {server.endpoint.host}:{port}: {reason(error)}") from None
    is_odd = any(not SIZE.match(size) for size in sizes.values()) or any(not UIDL.fullmatch(u) for u in uidls.values())
    if sizes.keys() != uidls.keys() or is_odd:
        raise ListingFailed(
            f"POP3 at {server.endpoint.host}:{port}: the answers to LIST and UIDL are not as RFC 1939 wants them"
        )
    return [Listed(uidls[number].decode("ascii"), int(size.split()[0])) for number, size in sizes.items()]


def _numbered(line: bytes) -> tuple[bytes, bytes]:
    """A message's number, and what is said of it."""
    number, _, said = line.partition(b" ")
    return number, said.strip()


def list_by_imap(server: Server) -> list[tuple[int, int]]:
    """(UID, size) of the messages in INBOX, by UID. Raises ListingFailed."""
    try:
        with imap.opened(replace(server.endpoint, timeout=TIMEOUT), server.login) as client:
            client.select_folder("INBOX", readonly=True)
            uids = sorted(client.search())
            parts = [uids[first : first + AT_ONCE] for first in range(0, len(uids), AT_ONCE)]
            sizes = [client.fetch(part, ["RFC822.SIZE"]) for part in parts]
            return sorted((uid, data[b"RFC822.SIZE"]) for found in sizes for uid, data in found.items())
    except imap.ImapError as error:
        raise ListingFailed(f"IMAP at {server.endpoint.host}:{server.endpoint.port}: {reason(error)}") from None


@contextlib.contextmanager
def _pop3(server: Server, port: int) -> Iterator[poplib.POP3]:
    """A session of the account, left without QUIT, so that nothing is ever removed."""
    endpoint, login = server.endpoint, server.login
    context = tls.context(endpoint.ca_file)
    session: poplib.POP3
    if endpoint.security == "tls":
        session = poplib.POP3_SSL(endpoint.host, port, context=context, timeout=TIMEOUT)
    else:
        session = poplib.POP3(endpoint.host, port, timeout=TIMEOUT)
    try:
        if endpoint.security == "starttls":
            session.stls(context)
        if login.authorize_as:
            raise ListingFailed(f"POP3 at {endpoint.host}:{port}: this login (`authzid`) is not spoken by POP3 here")
        session.user(login.user)
        session.pass_(login.password)
        yield session
    finally:
        session.close()

"""The two mail servers as the filters need them: ManageSieve with a login for each account, and how folder names are
built."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import imapclient

from bascule.hosts import tls
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.hosts.imap import ImapError, opened
from bascule.hosts.login import Endpoint, Login, login_for
from bascule.sieve import managesieve
from bascule.sieve.directory_source import DirectoryServer
from bascule.sieve.old_scripts import Source
from bascule.sieve.shared import SharedHost
from bascule.site import MailServerPart
from bascule.text.name_map import Namespace
from bascule.text.reason import reason


@dataclass(frozen=True)
class FilterServer:
    """Where one server's ManageSieve is, and how to log in to it for an account; the same for its IMAP."""

    sieve: Endpoint
    login: Callable[[str], Login]
    imap: Endpoint | None = None
    files: DirectoryServer | None = None  # where its scripts are read from instead of ManageSieve

    def source(self, account: str) -> contextlib.AbstractContextManager[Source]:
        """Where this account's scripts are read from: ManageSieve, or files over SSH."""
        return self.files.connected(account) if self.files is not None else self.connected(account)

    @contextlib.contextmanager
    def connected(self, account: str) -> Iterator[managesieve.ManageSieve]:
        """A ManageSieve connection for this account. Raises ManageSieveError."""
        with managesieve.connected(self.sieve, self.login(account)) as client:
            yield client


def from_site(access: Access, part: MailServerPart) -> FilterServer:
    """One server as the site file says, with its secrets from the connection. Raises AccessError."""
    connection = access.connections.get(part.connection)
    directory = connection.extra.get("sieve_directory")
    if part.sieve_port is None and not directory:
        raise AccessError(
            f"{part.address} has neither `sieve_port` in the site file nor `sieve_directory` in the connection "
            f"`{part.connection}`: its filters can't be reached"
        )
    ca_file = tls.ca_file(connection)
    return FilterServer(
        sieve=Endpoint(part.address, part.sieve_port or 4190, part.sieve_security, ca_file),
        login=lambda account: login_for(part, connection, account),
        imap=Endpoint(part.address, part.port, part.security, ca_file),
        files=DirectoryServer(SharedHost(access.remote(part.host)), directory)
        if part.sieve_port is None and directory
        else None,
    )


@contextlib.contextmanager
def imap(server: FilterServer, account: str) -> Iterator[imapclient.IMAPClient]:
    """An IMAP connection for this account, closed at the end. Raises AccessError."""
    if server.imap is None:
        raise AccessError("no IMAP server is known for this filter server")
    try:
        with opened(server.imap, server.login(account)) as client:
            yield client
    except ImapError as error:
        raise AccessError(f"{server.imap.host}: the IMAP session for {account} failed: {reason(error)}") from error


def namespace(server: FilterServer, account: str) -> Namespace:
    """How the names of the account's own folders are built, and where others' begin (RFC 2342). Raises AccessError."""
    with imap(server, account) as client:
        if client.has_capability("NAMESPACE"):
            told = client.namespace()
            if told.personal:
                prefix, separator = told.personal[0]
                foreign = tuple(_octets(other) for group in (told.other, told.shared) for other, _ in group or ())
                return Namespace(_octets(prefix), _octets(separator or ""), foreign)
        listed = client.list_folders("", "")
        return Namespace(b"", listed[0][1] or b"" if listed else b"")


def _octets(name: str | bytes) -> bytes:
    return name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name

"""Sessions with the old and the new calendar server for one account, as the site file says."""

import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import quote, unquote, urlsplit

import httpx
from jinja2.sandbox import SandboxedEnvironment

from bascule.calendars.dav.client import Session
from bascule.calendars.dav.discovery import located
from bascule.calendars.dav.model import Content, Found, Items, Kind, Listing, normal
from bascule.calendars.dav.writers import Writers
from bascule.calendars.exported_files import Folder
from bascule.hosts import tls
from bascule.hosts.access import Access
from bascule.hosts.connections import Connection
from bascule.hosts.login import own_password
from bascule.site import CalendarServerPart

TIMEOUT = httpx.Timeout(120.0, connect=20.0)  # seconds; a SOGo without reverse DNS takes 10 for each request
_templates = SandboxedEnvironment()


class Source(Protocol):
    """What is read from old: a server's session, or a folder of files."""

    def collections(self, home: str, kind: Kind) -> Found: ...
    def listing(self, collection: str) -> Listing: ...
    def contents(self, collection: str, kind: Kind, hrefs: Sequence[str]) -> Iterator[Content]: ...
    def read_all(self, collection: str, kind: Kind) -> Items: ...


S_co = TypeVar("S_co", bound=Source, covariant=True)


@dataclass(frozen=True)
class Server(Generic[S_co]):
    """One side for one account: the session, and where calendars and address books live."""

    session: S_co
    calendars: str
    contacts: str

    def home(self, kind: Kind) -> str:
        return self.calendars if kind == "calendar" else self.contacts


@dataclass(frozen=True)
class Target(Server[Session]):
    """A server that is written to, through several connections."""

    writers: Writers


@contextmanager
def opened_source(access: Access, account: str) -> Iterator[Server[Source]]:
    """Old for one account: a server, or a folder where the site file's URL begins with `file:`."""
    part = access.site.calendars.old
    if part.url.startswith("file:"):
        path = unquote(urlsplit(_url(part.url, account)).path)
        yield Server(Folder(Path(path)), path, path)
        return
    with opened(access, part, account) as server:
        yield Server(server.session, server.calendars, server.contacts)


@contextmanager
def opened(
    access: Access, part: CalendarServerPart, account: str, permits: threading.Semaphore | None = None
) -> Iterator[Target]:
    """A server for one account. Raises AccessError when the connection is incomplete.

    `permits`: how many items may be written at once, by all accounts together.
    """
    connection = access.connections.get(part.connection)
    calendars = _url(part.url, account)
    contacts = _url(part.contacts_url, account) if part.contacts_url else calendars
    verify = trust(connection)
    start = located(calendars, verify) if part.discover else calendars
    login = _login(part, connection, account)

    def session() -> Session:
        base = httpx.URL(start).copy_with(raw_path=b"/")
        return Session(httpx.Client(base_url=base, verify=verify, timeout=TIMEOUT, **login))

    first = session()
    writers = Writers(first, session, permits)
    try:
        homes = first.homes(httpx.URL(start).path) if part.discover else {}
        yield Target(
            first, homes.get("calendar", normal(calendars)), homes.get("addressbook", normal(contacts)), writers
        )
    finally:
        writers.close()
        first.close()


def trust(connection: Connection) -> ssl.SSLContext:
    """Certificates are checked always; by the connection's own authority when it names one."""
    return tls.web_context(tls.ca_file(connection))


def _url(template: str, account: str) -> str:
    return _templates.from_string(template).render(account=quote(account, safe="@"))


def _login(part: CalendarServerPart, connection: Connection, account: str) -> dict[str, Any]:
    if part.login == "superuser":
        return {"auth": (connection.login, connection.password)}
    if part.login == "proxy":  # SOGoTrustProxyAuthentication: the web server before SOGo names the user
        header = {"x-webobjects-remote-user": account}
        return (
            {"headers": header, "auth": (connection.login, connection.password)}
            if connection.login
            else {"headers": header}
        )
    return {"auth": (account, own_password(connection, account))}

"""Sessions with the old and the new calendar server for one account, as the site file says."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

import httpx
from jinja2.sandbox import SandboxedEnvironment

from bascule.access import Access, AccessError, Connection
from bascule.calendars.dav import Kind, Session
from bascule.site import CalendarServerPart

TIMEOUT = httpx.Timeout(120.0, connect=20.0)  # seconds; a SOGo without reverse DNS takes 10 for each request
_templates = SandboxedEnvironment()


@dataclass(frozen=True)
class Server:
    """One side for one account: the session, and where calendars and address books live."""

    session: Session
    calendars: str
    contacts: str

    def home(self, kind: Kind) -> str:
        return self.calendars if kind == "calendar" else self.contacts


@contextmanager
def opened(access: Access, part: CalendarServerPart, account: str) -> Iterator[Server]:
    """A server for one account. Raises AccessError when the connection is incomplete."""
    connection = access.connections.get(part.connection)
    calendars = _url(part.url, account)
    contacts = _url(part.contacts_url, account) if part.contacts_url else calendars
    client = httpx.Client(
        base_url=httpx.URL(calendars).copy_with(raw_path=b"/"),
        verify=trust(connection),
        timeout=TIMEOUT,
        **_login(part, connection, account),
    )
    session = Session(client)
    try:
        yield Server(session, httpx.URL(calendars).path, httpx.URL(contacts).path)
    finally:
        session.close()


def trust(connection: Connection) -> ssl.SSLContext:
    """Certificates are checked always; by the connection's own authority when it names one."""
    return ssl.create_default_context(cafile=connection.extra.get("ca_file"))


def _url(template: str, account: str) -> str:
    return _templates.from_string(template).render(account=quote(account, safe="@"))


def _login(part: CalendarServerPart, connection: Connection, account: str) -> dict:
    if part.login == "superuser":
        return {"auth": (connection.login, connection.password)}
    if part.login == "proxy":  # SOGoTrustProxyAuthentication: the web server before SOGo names the user
        header = {"x-webobjects-remote-user": account}
        return (
            {"headers": header, "auth": (connection.login, connection.password)}
            if connection.login
            else {"headers": header}
        )
    password = connection.extra.get("passwords", {}).get(account)
    if password is None:
        raise AccessError(
            f"the connection `{connection.conn_id}` has no password for {account}: add it to `passwords` in its extra"
        )
    return {"auth": (account, password)}

"""Reading a mailbox with IMAPClient, where a few commands do. Passes have an engine of their own."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import imapclient

if TYPE_CHECKING:
    from bascule.mailbox.endpoints import Server

ImapError = (imapclient.exceptions.IMAPClientError, OSError)


@contextmanager
def opened(server: "Server", timeout: float = 60.0) -> Iterator[imapclient.IMAPClient]:
    """A session as the server's login says, its certificate checked. Raises one of ImapError. `timeout` in seconds."""
    endpoint, login = server.endpoint, server.login
    context = ssl.create_default_context(cafile=endpoint.ca_file)
    client = imapclient.IMAPClient(
        endpoint.host, endpoint.port, ssl=endpoint.security == "tls", ssl_context=context, timeout=timeout
    )
    try:
        if endpoint.security == "starttls":
            client.starttls(context)
        if login.authorize_as:
            client.plain_login(login.user, login.password, login.authorize_as)
        else:
            client.login(login.user, login.password)
        yield client
    finally:
        client.shutdown()

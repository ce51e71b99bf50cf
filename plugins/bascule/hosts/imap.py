"""Reading a mailbox with IMAPClient, where a few commands do. Passes have an engine of their own."""

from collections.abc import Iterator
from contextlib import contextmanager

import imapclient

from bascule.hosts import tls
from bascule.hosts.login import Endpoint, Login

ImapError = (imapclient.exceptions.IMAPClientError, OSError)


@contextmanager
def opened(endpoint: Endpoint, login: Login) -> Iterator[imapclient.IMAPClient]:
    """A session that is logged in, its certificate checked; closed at the end. Raises one of ImapError."""
    context = tls.context(endpoint.ca_file)
    client = imapclient.IMAPClient(
        endpoint.host, endpoint.port, ssl=endpoint.security == "tls", ssl_context=context, timeout=endpoint.timeout
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

"""One letter into an INBOX, once: what is there by its Message-Id is not appended again."""

import ssl

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from bascule.access import AccessError, Endpoint, Login


def append_once(endpoint: Endpoint, login: Login, message_id: str, message: bytes) -> bool:
    """Append the message to INBOX unless it is there; return whether it was appended now. Raises AccessError."""
    try:
        with _connected(endpoint, login) as client:
            client.select_folder("INBOX")
            if client.search(["HEADER", "Message-ID", message_id]):
                return False
            client.append("INBOX", message)
            client.select_folder("INBOX")
            if not client.search(["HEADER", "Message-ID", message_id]):
                raise AccessError(f"{endpoint.host} took the letter for {login.user} and does not show it")
            return True
    except (IMAPClientError, OSError) as error:
        raise AccessError(f"{endpoint.host} does not take the letter for {login.user}: {error}") from error


def _connected(endpoint: Endpoint, login: Login) -> IMAPClient:
    context = ssl.create_default_context(cafile=endpoint.ca_file)
    client = IMAPClient(
        endpoint.host,
        endpoint.port,
        ssl=endpoint.security == "tls",
        ssl_context=context if endpoint.security == "tls" else None,
        timeout=endpoint.timeout,
    )
    if endpoint.security == "starttls":
        client.starttls(context)
    if login.authorize_as:
        client.plain_login(login.user, login.password, login.authorize_as)
    else:
        client.login(login.user, login.password)
    return client

"""One letter into an INBOX, once: what is there by its Message-Id is not appended again."""

from bascule.hosts.connections import AccessError
from bascule.hosts.imap import ImapError, opened
from bascule.hosts.login import Endpoint, Login
from bascule.text.reason import reason


def append_once(endpoint: Endpoint, login: Login, message_id: str, message: bytes) -> bool:
    """Append the message to INBOX unless it is there; return whether it was appended now. Raises AccessError."""
    try:
        with opened(endpoint, login) as client:
            client.select_folder("INBOX")
            if client.search(["HEADER", "Message-ID", message_id]):
                return False
            client.append("INBOX", message)
            client.select_folder("INBOX")
            if not client.search(["HEADER", "Message-ID", message_id]):
                raise AccessError(f"{endpoint.host} took the letter for {login.user} and does not show it")
            return True
    except ImapError as error:
        raise AccessError(f"{endpoint.host} does not take the letter for {login.user}: {reason(error)}") from error

"""One mail server as one account sees it."""

from dataclasses import dataclass

from bascule.access import Endpoint, Login


@dataclass(frozen=True)
class Server:
    """One IMAP server as one account sees it, and how much of it all tasks together may use (0: no limit)."""

    endpoint: Endpoint
    login: Login
    bytes_per_second: int = 0
    messages_per_second: int = 0
    compress: bool = False
    without: frozenset[str] = frozenset()  # capabilities that are not to be used
    side: str = ""  # "old" or "new", for messages to people
    connection: str = ""  # the id of the Airflow connection with the login, for messages to people
    shared_login: bool = False  # other accounts' mailboxes are opened with the same secret

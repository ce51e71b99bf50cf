"""One mail server as one account sees it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from bascule.hosts.login import Endpoint, Login
from bascule.mailbox.imap.capabilities import Capabilities


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
    not_understood: set[str] = field(default_factory=set, compare=False)  # capabilities that it has only announced
    bad_names: set[bytes] = field(default_factory=set, compare=False)  # of folders, which it did not understand

    def capabilities(self, told: Iterable[bytes]) -> Capabilities:
        """Those of what it tells that may be used."""
        return Capabilities(told, self.without | self.not_understood)

"""TCP services and who logs in there: what every protocol of mail has in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bascule.hosts.connections import AccessError

if TYPE_CHECKING:
    from bascule.hosts.connections import Connection
    from bascule.site import MailServerPart

Security = Literal["tls", "starttls", "plain"]


class NoPassword(AccessError):
    """Raised when a connection has no password for one account, which concerns that account alone."""


@dataclass(frozen=True)
class Endpoint:
    """One TCP service: where it is and how it is secured. Timeouts in seconds."""

    host: str
    port: int
    security: Security = "tls"
    ca_file: str | None = None
    timeout: float = 60.0


@dataclass(frozen=True)
class Login:
    """Who logs in, and for whom: `authorize_as` is SASL PLAIN's authorization identity (RFC 4616)."""

    user: str
    password: str = field(repr=False)
    authorize_as: str | None = None


def login_for(part: MailServerPart, connection: Connection, account: str) -> Login:
    """How one gets into an account's mailbox and filters, by `login` of the site file. Raises NoPassword."""
    if part.login == "master":
        return Login(part.master_login.format(account=account, master=connection.login), connection.password)
    if part.login == "authzid":
        return Login(connection.login, connection.password, authorize_as=account)
    secrets = connection.extra.get("passwords", {})
    if account not in secrets:
        raise NoPassword(
            f"the connection `{connection.conn_id}` has no password for {account} in `passwords`: add it there"
        )
    return Login(account, secrets[account])

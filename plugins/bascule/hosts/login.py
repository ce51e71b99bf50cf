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
    """Raised when a connection has no password for one account, or none that is text: that concerns it alone."""


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
    """How one gets into an account's mailbox and filters, by `login` of the site file.

    Raises NoPassword, and AccessError where the connection has no passwords at all.
    """
    if part.login == "master":
        return Login(part.master_login.format(account=account, master=connection.login), connection.password)
    if part.login == "authzid":
        return Login(connection.login, connection.password, authorize_as=account)
    return Login(account, own_password(connection, account))


def own_password(connection: Connection, account: str) -> str:
    """The account's own password, for `login: secret`. Raises NoPassword; AccessError where nobody has any there."""
    secrets = connection.extra.get("passwords")
    if not isinstance(secrets, dict) or not secrets:
        raise AccessError(
            f"the connection `{connection.conn_id}` has no `passwords`, which `login: secret` needs: write them into "
            "its extra, as an object of accounts and their passwords"
        )
    if account not in secrets:
        raise NoPassword(
            f"the connection `{connection.conn_id}` has no password for {account} in `passwords`: add it there"
        )
    if not isinstance(secrets[account], str):
        raise NoPassword(
            f"the connection `{connection.conn_id}` has a password for {account} that is no text: write it in "
            "quotation marks in `passwords`"
        )
    return str(secrets[account])

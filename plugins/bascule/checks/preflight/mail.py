"""Both mail servers: the login for a sample of accounts, and what the servers can do."""

from collections.abc import Iterator, Sequence

from bascule.checks.preflight.finding import Finding, failure, ok, some, warning
from bascule.hosts import tls
from bascule.hosts.access import Access
from bascule.hosts.directory import Account, accounts
from bascule.hosts.imap import ImapError, opened
from bascule.hosts.login import Endpoint, login_for
from bascule.site import MailServerPart, Side
from bascule.text.reason import reason

SAMPLE = 5
TIMEOUT = 30  # seconds
NEEDED = {"old": {"IMAP4REV1"}, "new": {"IMAP4REV1", "UIDPLUS"}}
HELPFUL = {
    "old": {"QRESYNC", "CONDSTORE", "LIST-STATUS", "SPECIAL-USE"},
    "new": {"LITERAL+", "MULTIAPPEND", "LIST-STATUS", "SPECIAL-USE"},
}


def old_server(access: Access) -> Iterator[Finding]:
    """The old server, as the passes will use it."""
    return _server(access, "old")


def new_server(access: Access) -> Iterator[Finding]:
    """The new server, as the passes will use it."""
    return _server(access, "new")


def _server(access: Access, side: Side) -> Iterator[Finding]:
    part: MailServerPart = getattr(access.site.mailboxes, side)
    if part.login == "secret":
        yield warning(f"IMAP on {side}", "the login for each account is a secret of its own: no sample was tried")
        return
    tried = sample(accounts(access))
    if not tried:
        yield failure(f"IMAP on {side}", "no login was tried, since the directory has no account of the site")
        return
    refused, capabilities = [], frozenset[str]()
    for account in tried:
        try:
            capabilities = _log_in(access, part, account.name)
        except ImapError as error:
            refused.append(f"{account.name} ({reason(error)})")
    subject = f"IMAP on {side} ({part.address}:{part.port})"
    if refused:
        # One that gets in shows that the login is right: the others are a matter of their accounts.
        level, more = (failure, "") if len(refused) == len(tried) else (warning, "; `prepare` asks about each of them")
        yield level(subject, f"the login of {len(refused)} of {len(tried)} accounts was refused: {some(refused)}{more}")
    else:
        yield ok(subject, f"the login for {len(tried)} accounts works: {some([account.name for account in tried])}")
    if capabilities:
        yield from _capabilities(subject, side, capabilities)


def _capabilities(subject: str, side: Side, present: frozenset[str]) -> Iterator[Finding]:
    if lacking := sorted(NEEDED[side] - present):
        yield failure(subject, f"the server lacks {', '.join(lacking)}, which the passes need")
    if slower := sorted(HELPFUL[side] - present):
        yield warning(subject, f"the server lacks {', '.join(slower)}: the passes work without, but take longer")
    if not lacking and not slower:
        yield ok(subject, "the server can do everything that the passes use")


def sample(everyone: Sequence[Account], size: int = SAMPLE) -> list[Account]:
    """Accounts from all over the alphabet, the same at each run."""
    if len(everyone) <= size:
        return list(everyone)
    return [everyone[round(place * (len(everyone) - 1) / (size - 1))] for place in range(size)]


def _log_in(access: Access, part: MailServerPart, account: str) -> frozenset[str]:
    """Log in for the account and say what the server can do."""
    connection = access.connections.get(part.connection)
    endpoint = Endpoint(part.address, part.port, part.security, tls.ca_file(connection), timeout=TIMEOUT)
    with opened(endpoint, login_for(part, connection, account)) as client:
        return frozenset(word.decode("ascii", "replace").upper() for word in client.capabilities())

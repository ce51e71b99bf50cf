"""Mailboxes that no pass can reach, told apart for people: no mailbox there, or a login that is refused."""

import re
from collections.abc import Callable, Iterable

from bascule.mailbox.imap.errors import LoginBroken, LoginRefused, MailboxFailed, NoMailbox, TransientError
from bascule.mailbox.imap.login import log_in
from bascule.mailbox.imap.server import Server
from bascule.problems.model import LEAVE_OUT, LOOK_AGAIN, Problem
from bascule.text.logs import get_logger

log = get_logger(__name__)

NO_MAILBOX, LOGIN_REFUSED, PASS_FAILED = "no-mailbox", "login-refused", "pass failed"
OTHERS = 3  # mailboxes of other accounts that are tried for comparison

# RFC 5530 and 9051 codes that speak of the account, not of the secret.
_CODES = {"AUTHORIZATIONFAILED", "NONEXISTENT", "NOPERM"}
_TEXTS = re.compile(
    r"(unknown|no such|non-?existent) (user|account|mailbox)"
    r"|(user|account|mailbox)( \S+)? (unknown|not found|does(n't| not) exist)",
    re.IGNORECASE,
)


def unreachable(
    account: str, error: Exception, others: Callable[[str], Iterable[tuple[str, Server]]], *, carried: bool
) -> Problem:
    """The problem of an account over whose mailbox no pass could be made; `PASS_FAILED` when it may pass by itself.

    `others`: for a side, accounts that earlier passes have reached, with the server as they see it. They are tried when
    the refusal itself does not say whether it is about the account or the secret. `carried`: a pass has reached
    this mailbox before, so that leaving it out is not proposed.
    """
    if not isinstance(error, LoginRefused | LoginBroken | NoMailbox):
        return _failed(account, str(error))
    evidence = ""
    if not _speaks_of_the_account(error):
        reached = _reached(others(error.server.side)) if error.server.shared_login else ""
        if not reached:
            broken = isinstance(error, LoginBroken)
            return _failed(account, str(error)) if broken else _login_refused(account, error.server, error.text)
        evidence = f"{reached} gets in by the same login"
    if error.server.side == "old" and not carried:
        return _nothing_to_carry(account, error.server, error.text, evidence)
    return _no_mailbox(account, error.server, error.text, evidence, carried)


def _speaks_of_the_account(error: LoginRefused | LoginBroken | NoMailbox) -> bool:
    if isinstance(error, LoginRefused):
        return error.code in _CODES or _TEXTS.search(error.text) is not None
    return isinstance(error, NoMailbox)


def _reached(others: Iterable[tuple[str, Server]]) -> str:
    """The first of these accounts that its server lets in; empty when there is none."""
    for (account, server), _ in zip(others, range(OTHERS), strict=False):
        try:
            log_in(server).close()
        except (MailboxFailed, TransientError) as error:
            log.info("another account is refused as well", account=account, reason=str(error))
        else:
            return account
    return ""


def _nothing_to_carry(account: str, server: Server, text: str, evidence: str) -> Problem:
    return Problem(
        account,
        "account",
        NO_MAILBOX,
        _subject(account, server),
        f"The old server ({server.endpoint.host}) knows no mailbox of this account, or bars it. Either there is "
        "nothing to carry, or somebody has to give it its mailbox back there before Bascule looks again.",
        facts={"side": "old", "carried before": False},
        details=_details(server, evidence),
        server_words=text,
        proposal=LEAVE_OUT,
    )


def _no_mailbox(account: str, server: Server, text: str, evidence: str, carried: bool) -> Problem:
    earlier = " An earlier pass has reached it." if carried else ""
    return Problem(
        account,
        "account",
        NO_MAILBOX,
        _subject(account, server),
        f"The {server.side} server ({server.endpoint.host}) knows no mailbox of this account, or bars it.{earlier} "
        "Create the account there, or mend what bars it, then let Bascule look again.",
        facts={"side": server.side, "carried before": carried},
        details=_details(server, evidence),
        server_words=text,
        proposal=LOOK_AGAIN,
    )


def _login_refused(account: str, server: Server, text: str) -> Problem:
    whose = "the login that Bascule has for all accounts" if server.shared_login else "this account's login"
    return Problem(
        account,
        "account",
        LOGIN_REFUSED,
        _subject(account, server),
        f"The {server.side} server ({server.endpoint.host}) refuses {whose}. Look at the login and password of the "
        f"connection `{server.connection}` in Airflow, and at that server's log; then let Bascule look again.",
        facts={"side": server.side},
        details=_details(server),
        server_words=text,
        proposal=LOOK_AGAIN,
    )


def _failed(account: str, text: str) -> Problem:
    return Problem(
        account,
        "account",
        PASS_FAILED,
        account,
        "The mailbox could not be copied at all. Mend the cause, then let Bascule look again.",
        server_words=text,
        proposal=LOOK_AGAIN,
    )


def _subject(account: str, server: Server) -> str:
    return f"{account} on the {server.side} server"


def _details(server: Server, evidence: str = "") -> dict[str, str]:
    return {
        "compared": evidence,
        "connection": server.connection,
        "server": f"{server.endpoint.host}:{server.endpoint.port}",
        "login": server.login.user,
    }

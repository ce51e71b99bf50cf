"""Moves of single accounts: whether proxies, directory and MX do their part, and who goes round the proxies.

The hold is tried with the probe's account, for a second: this is asked before accounts move, not every night.
"""

import re
import time
from collections.abc import Iterator

from bascule.checks.preflight.finding import Finding, failure, ok, some, warning
from bascule.hosts.access import Access
from bascule.hosts.ssh import RemoteHost
from bascule.ledger.moves import Server
from bascule.moves.entry import Entry, part_of
from bascule.moves.mail import Mail
from bascule.moves.sessions import Sessions

DAYS = 7
LOGIN = re.compile(
    r"(?:imap|pop3|managesieve)-login: (?:Info: )?Login: user=<([^>*]+)>[^\n]*\brip=([^,\s]+)[^\n]*\blip=([^,\s]+)"
)
CLOCK_SECONDS = 1.0  # by which a proxy's clock may differ from ours: the delay of logins goes by it
SERVERS: tuple[Server, Server] = ("old", "new")


def no_cache(access: Access) -> Iterator[Finding]:
    """The proxies ask the directory at each login: one that remembers sends people where they were."""
    for host in part_of(access).proxies:
        size = access.remote(host).run(["doveconf", "-h", "auth_cache_size"]).output.strip()
        if size in ("0", "0 B"):
            yield ok(f"{host}: logins", "its Dovecot asks the directory at each login (auth_cache_size = 0)")
        else:
            yield failure(
                f"{host}: logins",
                f"auth_cache_size is {size}, so that logins go on to the old server after a move: set 0",
            )


def clocks(access: Access) -> Iterator[Finding]:
    """Logins are delayed until an instant, by the proxies' clocks."""
    for host in part_of(access).proxies:
        remote = access.remote(host)
        remote.run(["true"])  # the connection's own time is not the clock's
        before = time.time()
        theirs = float(remote.run(["date", "+%s.%N"]).output)
        differs = max(theirs - time.time(), before - theirs, 0.0)
        tell = ok if differs < CLOCK_SECONDS else failure
        yield tell(f"{host}: clock", f"differs from the one of this machine by {differs:.1f} s at least")


def round_the_proxies(access: Access) -> Iterator[Finding]:
    """Who logs in on old past the proxies would write there behind the last pass, and go on there after the move."""
    old = access.remote(access.site.mailboxes.old.host)
    proxies = {address for host in part_of(access).proxies for address in _addresses(access.remote(host))}
    own = set(_addresses(old))
    ours = {network.partition("/")[0] for network in access.site.isolation.old.allow}
    since = ["--since", f"{DAYS} days ago", "--grep", "-login: .*Login: user=", "--output", "cat", "--no-pager"]
    text = old.run(["journalctl", "--identifier", "dovecot", *since], check=False, private=True).output
    found = LOGIN.findall(text)
    direct = sorted({user for user, came_from, came_to in found if came_to in own and came_from not in proxies | ours})
    subject = f"{old.name}: logins"
    if direct:
        yield warning(
            subject,
            f"{len(direct)} account(s) logged in past the proxies in the last {DAYS} days: {some(direct)}. What they "
            "write there while they move may stay behind, and afterwards they are still there: lead them to the proxy, "
            "and let old refuse logins from elsewhere",
        )
    elif found:
        yield ok(subject, f"all {len(found)} logins of the last {DAYS} days came through the proxies")
    else:
        yield warning(
            subject, f"the journal (`dovecot`) shows no login of the last {DAYS} days: who goes past is unknown"
        )


def hold(access: Access) -> Iterator[Finding]:
    """The probe's mail is held and let go again."""
    account = access.site.functional_tests.account
    entry = Entry(access, account)
    mail = Mail(access, account, entry)
    entry.check()
    try:
        mail.hold()
    finally:
        mail.release()
    for mx in mail.exchangers:
        yield ok(
            f"{mx.name}: hold",
            f"mail for {account} was held under {' and '.join(mail.addresses.values())}, and let go",
        )


def login(access: Access) -> Iterator[Finding]:
    """A login of the probe through the proxy ends where the directory says."""
    account = access.site.functional_tests.account
    entry = Entry(access, account)
    for server in SERVERS:
        if entry.is_at(server):
            Sessions(access, account).prove(server)
            yield ok("login through the proxy", f"a login of {account} ends on {server}, as its entry says")
            return
    yield failure(
        "login through the proxy", f"the entry of {account} leads its logins and its mail to different servers"
    )


def _addresses(remote: RemoteHost) -> list[str]:
    return remote.run(["hostname", "-I"], sudo=False).output.split()


CHECKS = (no_cache, clocks, round_the_proxies, hold, login)

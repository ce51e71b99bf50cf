"""Moves of single accounts: whether proxies, directory and MX do their part, and who goes round the proxies.

The hold is tried with the probe's account, for a second: this is asked before accounts move, not every night.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bascule.checks.preflight import uids
from bascule.checks.preflight.finding import Finding, failure, ok, some, warning
from bascule.hosts.access import Access
from bascule.hosts.postfix import queue
from bascule.hosts.ssh import RemoteHost
from bascule.ledger.moves import Server, other
from bascule.moves.entry import Entry, part_of
from bascule.moves.machine import CannotMove
from bascule.moves.mail import Mail, leads_on
from bascule.moves.sessions import Sessions
from bascule.pop3.usage import logs_show_logins, recent_users

DAYS = 7
WAYS = {"imap": "IMAP", "pop3": "POP3", "sieve": "ManageSieve"}  # to a mailbox, as Dovecot's `protocols` names them
LOGIN = re.compile(
    r"(?:imap|pop3|managesieve)-login: (?:Info: )?Login: user=<([^>*]+)>[^\n]*\brip=([^,\s]+)[^\n]*\blip=([^,\s]+)"
    r"(?:[^\n]*\bsession=<([^>]+)>)?"
)
LED_BY_A_PROXY = re.compile(r"-login: [^\n]*[Ss]tarted proxying to [^\n]*\bsession=<([^>]+)>")
PORT = re.compile(r"^\s*port\s*:\s*(\d+)\s*$", re.MULTILINE)  # in what `doveadm auth lookup` says
CLOCK_SECONDS = 0.25  # by which a proxy's clock may differ from ours: half of what logins are held back in reserve
LOOKS = 7  # at a clock, of which the quickest counts
DELAY = 4  # seconds for which a login of the probe is to wait
ROUNDED = 2.0  # of them, by whole seconds of the instant and of the proxy
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
        remote, subject = access.remote(host), f"{host}: clock"
        remote.run(["true"])  # the connection's own time is not the clock's
        took, ahead = min(_look_at_clock(remote) for _ in range(LOOKS))
        said = f"it is {abs(ahead):.2f} s {'ahead of' if ahead > 0 else 'behind'} the one of this machine"
        exact = f"as seen within {took / 2:.2f} s"
        if abs(ahead) <= CLOCK_SECONDS and took / 2 <= CLOCK_SECONDS:
            yield ok(subject, f"{said}, {exact}")
        elif abs(ahead) - took / 2 > CLOCK_SECONDS or took / 2 <= CLOCK_SECONDS:
            yield failure(
                subject,
                f"{said}, {exact}, and {CLOCK_SECONDS} s are the most: logins come in before the last pass has ended, "
                "or wait for too long. Let NTP (chrony, systemd-timesyncd) set both clocks by the same servers",
            )
        else:
            yield warning(subject, f"{said}, but only {exact}, since answers are slow: run it again on a quiet machine")


def _look_at_clock(remote: RemoteHost) -> tuple[float, float]:
    """(what the round trip took, by how much its clock is ahead of ours: at the middle of it, in seconds)."""
    began, before = time.time(), time.monotonic()
    theirs = float(remote.run(["date", "+%s.%N"]).output)
    took = time.monotonic() - before
    return took, theirs - began - took / 2


def protocols(access: Access) -> Iterator[Finding]:
    """The proxies lead every protocol by which old is reached, and each to a port of its own."""
    served = _protocols(access.remote(access.site.mailboxes.old.host))
    for host in part_of(access).proxies:
        remote = access.remote(host)
        led = _protocols(remote)
        subject = f"{host}: protocols"
        if missing := [WAYS[name] for name in served if name not in led]:
            yield warning(
                subject,
                f"old serves {' and '.join(missing)}, which this proxy does not lead: who comes by it goes on on old "
                "after a move. Let the proxy lead it as it leads IMAP, or old refuse its users",
            )
        ports = {name: _port(remote, name, access.site.functional_tests.account) for name in led}
        if len({port for port in ports.values() if port}) < sum(bool(port) for port in ports.values()):
            shown = ", ".join(f"{WAYS[name]} to {port}" for name, port in ports.items() if port)
            yield failure(
                subject,
                f"its passdb leads several protocols to one port ({shown}): leave `port` out of pass_attrs, with "
                "`=starttls=yes` instead of `=ssl=yes`, and each goes to its own one",
            )
        elif not led:
            yield warning(subject, "not looked at: its Dovecot tells no protocol that it serves")
        elif not missing:
            yield ok(subject, f"it leads {', '.join(WAYS[name] for name in led)}, which is all that old serves")


def round_the_proxies(access: Access) -> Iterator[Finding]:
    """Who logs in on old past the proxies would write there behind the last pass, and go on there after the move."""
    old = access.remote(access.site.mailboxes.old.host)
    proxies = {address for host in part_of(access).proxies for address in _addresses(access.remote(host))}
    own = set(_addresses(old))
    ours = {network.partition("/")[0] for network in access.site.isolation.old.allow}
    since = ["--since", f"{DAYS} days ago", "--grep", "-login: .*Login: user=", "--output", "cat", "--no-pager"]
    text = old.run(["journalctl", "--identifier", "dovecot", *since], check=False, private=True).output
    found = LOGIN.findall(text)
    past = {
        (user, session)
        for user, came_from, came_to, session in found
        if came_to in own and came_from not in proxies | ours
    }
    led = _led_by_proxies(access) if past else set()
    direct = sorted({user for user, session in past if session not in led})
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


def uidls(access: Access) -> Iterator[Finding]:
    """POP3's identifiers follow the UIDs, or they don't: a move carries no others."""
    if uids.make_uidls(access):
        yield ok("UIDLs", "both servers make POP3's of UID and UIDVALIDITY: where these are kept, a move changes none")
    elif users := recent_users(access):
        yield warning(
            "UIDLs",
            f"{len(users)} account(s) have used POP3 lately: {some(users)}. Old and new make UIDLs in different ways, "
            "and a move carries none: programs that leave mail on the server fetch everything once more. Let new make "
            "them as old does (`pop3_uidl_format`), or leave these accounts for the day, which carries them "
            "(`mailboxes.pop3`)",
        )
    elif logs_show_logins(access):
        yield ok("UIDLs", f"old and new make POP3's in different ways, and old's logs show none of it in {DAYS} days")
    else:
        yield warning(
            "UIDLs",
            f"old and new make POP3's in different ways, and old's logs show no login of the last {DAYS} days: who "
            "will fetch everything once more is unknown",
        )


def calendars(access: Access) -> Iterator[Finding]:
    """No proxy leads CalDAV: they stay on old until the day, or a web server of the site leads each account."""
    old = access.site.calendars.old.url.partition("{")[0]
    if part_of(access).calendars:
        yield warning(
            "calendars",
            "the site file says that an account is led to its calendars on new when it moves (`moves.calendars`): "
            "Bascule can't see that. Move the probe, then read its calendars as its user does: no program may write to "
            f"{old} any more",
        )
    else:
        yield warning(
            "calendars",
            f"who moves goes on with the calendars and address books at {old} until the day; new's webmail shows a copy"
            " of them, as the last `prepare` has left it. Tell them, or lead each account to its calendars by the "
            "directory and say `calendars: true`",
        )


def names(access: Access) -> Iterator[Finding]:
    """A name by which users reach their mail leads to the proxies, not to an address of old itself."""
    site = access.site
    own = _addresses(access.remote(site.mailboxes.old.host))
    for part in (site.service_addresses.imap, site.service_addresses.pop):
        if part.address.partition("/")[0] in own:
            yield warning(
                part.name,
                f"{part.address} is an address of {site.mailboxes.old.host} itself: who uses this name goes past the "
                "proxies, and goes on on old after a move. Lead the name to the proxies before",
            )
        else:
            yield ok(part.name, f"{part.address} is none of {site.mailboxes.old.host}'s own addresses")


def hold(access: Access) -> Iterator[Finding]:
    """The probe's mail is held and let go again."""
    account = access.site.functional_tests.account
    entry = Entry(access, account)
    mail = Mail(access, account, entry)
    try:
        entry.check()
    except CannotMove as error:
        yield failure("hold", str(error))
        return
    try:
        mail.hold()
    finally:
        mail.release()
    for mx in mail.exchangers:
        yield ok(
            f"{mx.name}: hold",
            f"mail for {account} was held under {' and '.join(mail.addresses.values())}, and let go",
        )


def final_addresses(access: Access) -> Iterator[Finding]:
    """A final address that was the right one leads on: what the MX had expanded before the flip comes to old else."""
    account = access.site.functional_tests.account
    entry = Entry(access, account)
    mail = Mail(access, account, entry)
    server = next((server for server in SERVERS if entry.is_at(server)), None)
    if server is None:
        return  # `login` tells it
    now_at, was_at = mail.addresses[server], mail.addresses[other(server)]
    with _delayed(entry, round(time.time())):  # by which `moved.cf` knows who moves on their own
        for remote in {each.name: each for each in (*mail.exchangers, *mail.remotes.values())}.values():
            said = queue.looked_up(remote, ["virtual_alias_maps"], [was_at]).get(was_at, "")
            if leads_on(said, now_at):
                yield ok(f"{remote.name}: final addresses", f"{was_at} leads on to {now_at} while {account} is there")
            else:
                yield failure(
                    f"{remote.name}: final addresses",
                    f"{was_at} does not lead on to {now_at} (virtual_alias_maps say {said!r}): mail that waited for a "
                    "move, or is given to the server that was left, stays there. `moved.cf` of docs/moves.md does it",
                )


def held_back(access: Access) -> Iterator[Finding]:
    """The proxies hold logins back until the instant that the entry names: else a user comes into half a mailbox."""
    account = access.site.functional_tests.account
    entry, sessions = Entry(access, account), Sessions(access, account)
    server = next((server for server in SERVERS if entry.is_at(server)), None)
    if server is None:
        return  # `login` tells it
    sessions.prove(server)  # connections are open from here on, and what a login takes by itself is known
    began = time.monotonic()
    with _delayed(entry, round(time.time()) + DELAY):
        sessions.prove(server)
    took = time.monotonic() - began
    if took >= DELAY - ROUNDED:
        yield ok("logins held back", f"a login of {account} that was to wait {DELAY} s came in after {took:.1f} s")
    else:
        yield failure(
            "logins held back",
            f"a login of {account} that was to wait {DELAY} s came in after {took:.1f} s: the proxies' pass_attrs must "
            f"make `delay_until` of `{entry.part.delay_attribute}`",
        )


@contextmanager
def _delayed(entry: Entry, until: int) -> Iterator[None]:
    before = entry.delays()
    entry.delay(until)
    try:
        yield
    finally:
        entry.put_delays(before)


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


def _protocols(remote: RemoteHost) -> list[str]:
    found = remote.run(["doveconf", "-h", "protocols"]).output.split()
    return [name for name in WAYS if name in found]


def _port(remote: RemoteHost, protocol: str, account: str) -> str:
    """Where the proxy's passdb leads the account by this protocol; empty: to its usual port, or it does not say."""
    command = ["doveadm", "auth", "lookup", "-x", f"service={protocol}", account]
    found = PORT.search(remote.run(command, check=False, private=True).output)
    return found[1] if found else ""


def _led_by_proxies(access: Access) -> set[str]:
    """The sessions that the proxies have led. By POP3 and ManageSieve a proxy that is trusted hands on from where a
    user came, but not where to: these logins look on old as if they had come straight to it."""
    since = ["--since", f"{DAYS} days ago", "--grep", "-login: .*started proxying", "--output", "cat", "--no-pager"]
    command = ["journalctl", "--identifier", "dovecot", *since]
    said = [access.remote(host).run(command, check=False, private=True).output for host in part_of(access).proxies]
    return {session for text in said for session in LED_BY_A_PROXY.findall(text)}


def _addresses(remote: RemoteHost) -> list[str]:
    return remote.run(["hostname", "-I"], sudo=False).output.split()


CHECKS = (
    no_cache, clocks, protocols, uidls, calendars, round_the_proxies, names, hold, final_addresses, login, held_back,
)  # fmt: skip

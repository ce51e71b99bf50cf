"""Both calendar servers: the login for the probe's account, how fast they answer, and that new invites nobody."""

import time
from collections.abc import Iterator

from bascule.calendars import servers
from bascule.checks.preflight.finding import Finding, failure, ok, warning
from bascule.checks.preflight.webmail import REVERSE_DNS, SLOW
from bascule.hosts.access import Access
from bascule.site import Side


def old_server(access: Access) -> Iterator[Finding]:
    """The collections of one account can be listed on old."""
    return _server(access, "old")


def new_server(access: Access) -> Iterator[Finding]:
    """The collections of one account can be listed on new, and nobody is known there by mail address."""
    yield from _server(access, "new")
    with servers.opened(access, access.site.calendars.new, access.site.functional_tests.account) as server:
        known = server.session.mail_addresses(server.calendars)
    here = sorted(address for address in known if address.endswith(f"@{access.site.domain.lower()}"))
    if here:
        yield failure(
            "calendars on new",
            f"the server knows people by mail address ({', '.join(here)}): it would put every meeting into its guests' "
            "calendars, and may mail them invitations. Let `calendars.new` lead to a SOGo that invites nobody "
            "(docs/calendars.md)",
        )
    else:
        account = access.site.functional_tests.account
        yield ok("calendars on new", f"the server knows no mail address (asked as {account}), so it can invite nobody")


def _server(access: Access, side: Side) -> Iterator[Finding]:
    part, account = getattr(access.site.calendars, side), access.site.functional_tests.account
    subject = f"calendars on {side}"
    began = time.monotonic()
    opened = servers.opened_source(access, account) if side == "old" else servers.opened(access, part, account)
    with opened as server:
        found = server.session.collections(server.calendars, "calendar").collections
    seconds = time.monotonic() - began
    if not found:
        yield warning(
            subject, f"{account} has no calendar there, so that nothing was looked at: give the probe one with an event"
        )
    elif seconds > SLOW:
        yield warning(subject, f"listing the calendars of {account} took {seconds:.0f} s: {REVERSE_DNS}")
    else:
        yield ok(subject, f"{account} has {len(found)} calendar(s), listed in {seconds:.1f} s")

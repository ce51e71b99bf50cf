"""Both calendar servers: the login for the probe's account, how fast they answer, and that new invites nobody."""

import time
from collections.abc import Iterator

from bascule.access import Access
from bascule.calendars import servers
from bascule.checks.finding import Finding, failure, ok, warning
from bascule.checks.webmail import REVERSE_DNS, SLOW
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
        yield ok("calendars on new", "the server knows nobody by mail address, so it can invite nobody")


def _server(access: Access, side: Side) -> Iterator[Finding]:
    part, account = getattr(access.site.calendars, side), access.site.functional_tests.account
    subject = f"calendars on {side}"
    began = time.monotonic()
    with servers.opened(access, part, account) as server:
        found = server.session.collections(server.calendars, "calendar")
    seconds = time.monotonic() - began
    if seconds > SLOW:
        yield warning(subject, f"listing the calendars of {account} took {seconds:.0f} s: {REVERSE_DNS}")
    else:
        yield ok(subject, f"{account} has {len(found)} calendar(s), listed in {seconds:.1f} s")

"""Both calendar servers: the login for the probe's account, and how fast they answer."""

import time
from collections.abc import Iterator

from bascule.access import Access
from bascule.calendars import servers
from bascule.checks.finding import Finding, ok, warning
from bascule.checks.webmail import REVERSE_DNS, SLOW
from bascule.site import Side


def old_server(access: Access) -> Iterator[Finding]:
    """The collections of one account can be listed on old."""
    return _server(access, "old")


def new_server(access: Access) -> Iterator[Finding]:
    """The collections of one account can be listed on new."""
    return _server(access, "new")


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

"""The old webmail's name and the new webmail answer, and not slowly."""

import time
from collections.abc import Iterator

import httpx

from bascule.calendars.servers import trust
from bascule.checks.preflight.finding import Finding, failure, ok, warning
from bascule.hosts.access import Access
from bascule.text.reason import reason

TIMEOUT = 60.0  # seconds
SLOW = 5.0  # seconds
REVERSE_DNS = (
    "that is how SOGo behaves when it can't look the client's address up: give its host a name server that answers "
    "reverse queries at once, or put the clients into its /etc/hosts"
)


def answers(access: Access) -> Iterator[Finding]:
    """Both pages answer with less than an error; the new one within a few seconds."""
    part = access.site.webmail
    context = trust(access.connections.get(access.site.calendars.new.connection))
    for subject, url in (("old webmail", part.url), ("new webmail", part.target)):
        began = time.monotonic()
        try:
            response = httpx.get(url, verify=context, timeout=TIMEOUT, follow_redirects=False)
        except httpx.HTTPError as error:
            yield failure(subject, f"{url} doesn't answer: {reason(error)}")
            continue
        seconds = time.monotonic() - began
        if response.status_code >= 400:
            yield failure(subject, f"{url} answers with status {response.status_code}")
        elif seconds > SLOW:
            yield warning(subject, f"{url} took {seconds:.0f} s: {REVERSE_DNS}")
        else:
            yield ok(subject, f"{url} answers with status {response.status_code} in {seconds:.1f} s")

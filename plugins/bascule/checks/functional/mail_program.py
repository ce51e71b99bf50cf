"""A real mail program that has downloaded the probe's mail before the day, and what it does after it."""

from typing import Any

from bascule.checks.functional.client import CouldNotTest, Evidence, ask, at, login
from bascule.hosts.access import Access

SECONDS = 600.0


def connect(access: Access) -> dict[str, Any]:
    """Let it connect through the service name; what it saw. Raises AccessError."""
    seen = ask(access, "mail_program", at(access.site.service_addresses.imap) | login(access), timeout=SECONDS)
    if seen["words"]:
        raise CouldNotTest(f"mbsync ended with: {seen['words'][-300:]}")
    return seen


def with_a_cache(access: Access) -> Evidence:
    """What was downloaded before the day is not downloaded once more, and nothing is lost or doubled."""
    seen, name = connect(access), access.site.service_addresses.imap.name
    if not seen["had"]:
        return Evidence(False, "the mail program had no cache: the preflight in `prepare` makes it, before the day")
    sentence = (
        f"mbsync had {seen['had']} messages; through {name} it downloaded {seen['anew']} of them anew, lost "
        f"{seen['lost']}, doubled {seen['doubled']}, and got {seen['came']} new"
    )
    return Evidence(not (seen["anew"] or seen["lost"] or seen["doubled"]), sentence)

"""Who uses POP3: where a program leaves mail on the server, it knows the messages by their UIDLs."""

from collections.abc import Iterator

from bascule.access import Access
from bascule.checks.finding import Finding, ok, some, warning
from bascule.pop3.usage import DAYS, recent_users


def users(access: Access, host: str) -> Iterator[Finding]:
    """The accounts that old's logs show with a POP3 login lately, and what they will see."""
    if access.site.mailboxes.old.host != host:
        return
    found = recent_users(access)
    if not found:
        yield ok("POP3", f"no account used POP3 in the last {DAYS} days")
        return
    sentence = f"{len(found)} account(s) used POP3 in the last {DAYS} days: {some(found)}."
    if access.site.mailboxes.pop3:
        yield ok("POP3", f"{sentence} Their messages keep their UIDLs (`mailboxes.pop3`)")
        return
    yield warning(
        "POP3",
        f"{sentence} Messages get new UIDLs by the move: a program that leaves mail on the server fetches everything "
        "once more. Write `mailboxes.pop3` into the site file to carry them (new must be a Dovecot with sdbox), or "
        "tell these people before the day",
    )

"""Who uses POP3: where a program leaves mail on the server, it knows the messages by their UIDLs."""

from collections.abc import Iterator

from bascule.checks.preflight import uids
from bascule.checks.preflight.finding import Finding, failure, ok, some, warning
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.pop3.carry import sdbox_of
from bascule.pop3.listing import ListingFailed
from bascule.pop3.usage import DAYS, logs_show_logins, recent_users


def users(access: Access, host: str) -> Iterator[Finding]:
    """The accounts that old's logs show with a POP3 login lately, and what they will see."""
    found = recent_users(access)
    if not found and not logs_show_logins(access):
        yield warning(
            "POP3",
            f"nobody knows who uses it: the last {DAYS} days of the journal (`dovecot`) and of /var/log/mail.log* on "
            f"{host} show no login at all, by IMAP neither. Where does its Dovecot log to?",
        )
        return
    if not found:
        yield ok("POP3", f"no account used it in the last {DAYS} days, by the logs of {host}")
        return
    sentence = f"{len(found)} account(s) used POP3 in the last {DAYS} days: {some(found)}."
    if access.site.mailboxes.pop3:
        obstacle = _obstacle(access)
        if obstacle:
            yield failure(
                "POP3", f"{sentence} `mailboxes.pop3` wants their UIDLs carried, and that can't be: {obstacle}"
            )
        else:
            yield ok("POP3", f"{sentence} Their messages keep their UIDLs (`mailboxes.pop3`)")
        return
    if uids.make_uidls(access):
        yield ok(
            "POP3",
            f"{sentence} Both servers make UIDLs of UID and UIDVALIDITY: where these are kept (`mailboxes.uids`), "
            "programs fetch nothing once more",
        )
        return
    yield warning(
        "POP3",
        f"{sentence} Messages get new UIDLs by the move: a program that leaves mail on the server fetches everything "
        "once more. Write `mailboxes.pop3` into the site file to carry them (new must be a Dovecot with sdbox), or "
        "tell these people before the day",
    )


def _obstacle(access: Access) -> str:
    """Why UIDLs can't be carried to new, or ""."""
    remote = access.remote(access.site.mailboxes.new.host)
    try:
        sdbox_of(remote, access.site.functional_tests.account)
    except (ListingFailed, AccessError) as error:
        return str(error)
    if remote.run(["python3", "-c", "import fcntl, struct"], check=False).status != 0:
        return f"{remote.name} has no python3"
    return ""

"""Whether new can be commanded so that messages keep their UIDs, and POP3's UIDLs with them."""

from collections.abc import Iterator

from bascule.checks.functional import mail_program
from bascule.checks.preflight.finding import Finding, failure, ok, warning
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.mailbox.doveadm import CannotCommand, opener
from bascule.mailbox.imap.errors import TransientError

SUBJECT = "UIDs"
ANEW = "phones and mail programs download all mail once more after the move"


def kept(access: Access) -> Iterator[Finding]:
    """Opens Dovecot's doveadm service on new, as the passes do, and says nothing to it."""
    part = access.site.mailboxes
    if part.uids == "new":
        yield warning(SUBJECT, f"the site file wants new ones (`mailboxes.uids: new`): {ANEW}")
        return
    try:
        opener(access.remote(part.new.host), access.site.functional_tests.account)().close()
    except (CannotCommand, TransientError) as error:
        level, more = (failure, "") if part.uids == "keep" else (warning, "; it is named at the gate and in the report")
        yield level(SUBJECT, f"can't be kept: {error}. {ANEW[0].upper()}{ANEW[1:]}{more}")
    else:
        yield ok(SUBJECT, f"can be kept: the doveadm service of Dovecot on {part.new.host} answers")


def mail_program_connects(access: Access, host: str) -> Iterator[Finding]:
    """The mail program of the functional tests downloads what the probe has, so that on the day it has a cache."""
    try:
        seen = mail_program.connect(access)
    except AccessError as error:
        yield warning("mail program", f"mbsync on {host} can't connect: {error}")
        return
    yield ok("mail program", f"mbsync on {host} has {seen['has']} messages of the probe in its cache")


def make_uidls(access: Access) -> bool:
    """Whether both servers make POP3's UIDLs alike, of UID and UIDVALIDITY alone (Dovecot's `%v` and `%u`)."""
    if access.site.mailboxes.uids == "new":
        return False
    formats = []
    for host in (access.site.mailboxes.old.host, access.site.mailboxes.new.host):
        asked = access.remote(host).run(["doveconf", "-h", "pop3_uidl_format"], check=False)
        formats.append(asked.output.strip().lower() if asked.status == 0 else "")
    return formats[0] == formats[1] and "u" in formats[0] and "v" in formats[0] and "m" not in formats[0]

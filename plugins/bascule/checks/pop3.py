"""Who uses POP3: where a program leaves mail on the server, it fetches everything again after the move."""

import re
from collections.abc import Iterator

from bascule.access import Access
from bascule.checks.finding import Finding, ok, some, warning

DAYS = 30
LOGIN = re.compile(r"pop3-login: (?:Info: )?Login: user=<([^>*]+)>")


def recent_users(access: Access, host: str) -> Iterator[Finding]:
    """The accounts that old's logs show with a POP3 login lately (systemd's journal and /var/log/mail.log*)."""
    if access.site.mailboxes.old.host != host:
        return
    remote, words = access.remote(host), "pop3-login: "
    since = ["--since", f"{DAYS} days ago", "--grep", words, "--output", "cat", "--no-pager"]
    text = remote.run(["journalctl", "--identifier", "dovecot", *since], check=False).output
    files = ["find", "/var/log", "-maxdepth", "1", "-name", "mail.log*", "-mtime", f"-{DAYS}"]
    text += remote.run([*files, "-exec", "zgrep", "-hF", words, "{}", "+"], check=False).output
    users = sorted(set(LOGIN.findall(text)) - {access.site.functional_tests.account})
    if not users:
        yield ok("POP3", f"no account used POP3 in the last {DAYS} days")
        return
    yield warning(
        "POP3",
        f"{len(users)} account(s) used POP3 in the last {DAYS} days: {some(users)}. Messages get new UIDLs by the "
        "move: a program that leaves mail on the server fetches everything once more. Tell these people before the day",
    )

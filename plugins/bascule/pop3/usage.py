"""Who has used POP3 lately, by old's logs."""

import ipaddress
import re

from bascule.hosts.access import Access

DAYS = 30
LOGIN = re.compile(r"pop3-login: (?:Info: )?Login: user=<([^>*]+)>([^\n]*)")
FROM = re.compile(r"\brip=([0-9A-Fa-f.:]+)")


def recent_users(access: Access) -> list[str]:
    """The accounts with a POP3 login on old in the last DAYS days (systemd's journal and /var/log/mail.log*).

    Bascule's own logins, from where the copy runs, and the probe's don't count.
    """
    site = access.site
    ours = [ipaddress.ip_network(network) for network in site.isolation.old.allow]
    users = {user for user, rest in LOGIN.findall(_logged(access, "pop3-login: ")) if not _is_ours(rest, ours)}
    return sorted(users - {site.functional_tests.account})


def logs_show_logins(access: Access) -> bool:
    """Whether these logs name logins at all, so that one by POP3 would be seen."""
    return bool(_logged(access, "imap-login: ", "--lines=1"))


def _logged(access: Access, words: str, *more: str) -> str:
    """The lines of old's logs with these words. `more`: options of journalctl."""
    remote = access.remote(access.site.mailboxes.old.host)
    since = ["--since", f"{DAYS} days ago", "--grep", words, "--output", "cat", "--no-pager", *more]
    text = remote.run(["journalctl", "--identifier", "dovecot", *since], check=False, private=True).output
    files = ["find", "/var/log", "-maxdepth", "1", "-name", "mail.log*", "-mtime", f"-{DAYS}"]
    return text + remote.run([*files, "-exec", "zgrep", "-hF", words, "{}", "+"], check=False, private=True).output


def _is_ours(rest: str, ours: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    found = FROM.search(rest)
    try:
        address = ipaddress.ip_address(found[1]) if found else None
    except ValueError:
        return False
    return address is not None and any(address in network for network in ours)

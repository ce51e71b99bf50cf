"""Functional tests of logins through the service names, and of what a mailbox says of itself."""

from bascule.checks.functional.client import CouldNotTest, Evidence, ask, at, login, point_of
from bascule.hosts.access import Access
from bascule.mailbox.job import job_for
from bascule.pop3.listing import ListingFailed, list_by_pop3


def imap_login(access: Access) -> Evidence:
    """IMAP through the service name, its certificate checked."""
    part = access.site.service_addresses.imap
    seen = ask(access, "imap_login", at(part) | login(access))
    if not seen["selected"]:
        return Evidence(False, f"logged in at {part.name}, but INBOX can't be opened: look at the log of IMAP on new")
    return Evidence(
        True, f"logged in at {part.name}:{part.port} with a valid certificate; INBOX has {seen['messages']}"
    )


def quota(access: Access) -> Evidence:
    """A message larger than the mailbox may be is refused with words that programs understand (RFC 5530)."""
    part = access.site.service_addresses.imap
    seen = ask(access, "quota", at(part) | login(access))
    if not seen["limit"]:
        return Evidence(False, f"the mailbox at {part.name} has no quota: look at Dovecot's quota settings on new")
    if " NO [OVERQUOTA]" not in seen["answer"]:
        return Evidence(False, f"a message larger than the quota of {seen['limit']} kB was answered: {seen['answer']}")
    return Evidence(True, f"a message larger than the quota of {seen['limit']} kB is refused: {seen['answer'][3:]}")


def pop3_login(access: Access) -> Evidence:
    """POP3 through the service name, its certificate checked."""
    part = access.site.service_addresses.pop
    seen = ask(access, "pop3_login", at(part) | login(access))
    return Evidence(True, f"logged in at {part.name}:{part.port} with a valid certificate; {seen['messages']} messages")


def pop3_uidls(access: Access) -> Evidence:
    """Every message that the probe has on old has the same UIDL through the service name."""
    part, pop3 = access.site.service_addresses.pop, access.site.mailboxes.pop3
    if pop3 is None:
        raise CouldNotTest("the site file has no `mailboxes.pop3`")
    try:
        on_old = {
            item.uidl for item in list_by_pop3(job_for(access, access.site.functional_tests.account).old, pop3.old_port)
        }
    except ListingFailed as error:
        raise CouldNotTest(str(error)) from None
    seen = set(ask(access, "pop3_login", at(part) | login(access))["uidls"])
    if lacking := on_old - seen:
        return Evidence(
            False,
            f"{len(lacking)} of {len(on_old)} messages have other UIDLs at {part.name} than they had on old: look at "
            "the log of `carry_pop3_uidls` in `transfer`",
        )
    return Evidence(
        True, f"at {part.name} the probe's {len(on_old)} messages of old have the UIDLs that they had there"
    )


def sieve_login(access: Access) -> Evidence:
    """ManageSieve, its certificate checked; the probe has an active filter."""
    point = point_of(access.site.functional_tests.sieve)
    seen = ask(access, "sieve_login", point | login(access))
    where = f"logged in at {point['host']}:{point['port']} with a valid certificate"
    if not seen["active"]:
        return Evidence(False, f"{where}, but no filter is active: was the probe's filter converted?")
    return Evidence(True, f"{where}; {len(seen['scripts'])} script(s), {seen['active']!r} is active")

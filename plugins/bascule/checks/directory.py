"""The directory: the login, what each entry's destination is, and whether Bascule may write it."""

import secrets
from collections.abc import Iterator

from ldap3 import MODIFY_DELETE

from bascule.access import Access
from bascule.checks.finding import Finding, failure, ok, some
from bascule.directory import Account, accounts, connected, render

NO_SUCH_VALUE, NO_RIGHTS = 16, 50  # LDAP results (RFC 4511 section 4.1.9)


def destinations(access: Access) -> Iterator[Finding]:
    """Every account's destination is the one before or the one after the day."""
    wanted = access.site.directory.destination
    found = accounts(access)
    if not found:
        yield failure("directory", f"no entry below {access.site.directory.base} matches the site file's filter")
        return
    states = {account.name: _state(access, account) for account in found}
    strange = sorted(f"{name} ({state})" for name, state in states.items() if state not in ("before", "after"))
    counts = {state: sum(value == state for value in states.values()) for state in ("before", "after")}
    yield ok(
        "directory",
        f"{len(found)} accounts: {counts['before']} are at the destination before the day, "
        f"{counts['after']} at the one after it",
    )
    if strange:
        yield failure(
            "directory",
            f"the `{wanted.attribute}` of {len(strange)} account(s) is neither what it shall be before the day nor "
            f"after it: {some(strange)}; mend the entries or `directory.destination`",
        )


def writable(access: Access) -> Iterator[Finding]:
    """Bascule may write the destination, and the quota if the site file names its attribute."""
    account = next(iter(accounts(access)), None)
    if account is None:
        return
    yield _writable(access, account, access.site.directory.destination.attribute, f"bascule-{secrets.token_hex(8)}")
    if quota := access.site.mailboxes.quota:
        unlikely = render(quota.value, account, bytes=secrets.randbelow(10**12) + 10**17)
        yield _writable(access, account, quota.attribute, unlikely)


def _writable(access: Access, account: Account, attribute: str, absent: str) -> Finding:
    """Ask by deleting a value that isn't there, which can't change anything.

    A directory looks at the rights before it looks for the value, so its reason for the refusal tells them.
    """
    with connected(access) as connection:
        connection.modify(account.dn, {attribute: [(MODIFY_DELETE, [absent])]})
        result = connection.result
    subject = f"directory: {attribute}"
    if result["result"] == NO_SUCH_VALUE:
        return ok(subject, f"Bascule may write it (asked on {account.dn}, without changing it)")
    if result["result"] == NO_RIGHTS:
        return failure(subject, f"Bascule may not write it ({account.dn}): mend the directory's access rules")
    words = f"{result['description']} {result['message']}".strip()
    return failure(subject, f"whether Bascule may write it is unknown, the directory said: {words} ({account.dn})")


def _state(access: Access, account: Account) -> str:
    wanted = access.site.directory.destination
    present = _values(account, wanted.attribute)
    if present == [render(wanted.before, account)]:
        return "before"
    return "after" if present == [render(wanted.after, account)] else (", ".join(present) or "nothing")


def _values(account: Account, attribute: str) -> list[str]:
    return next((list(values) for name, values in account.entry.items() if name.lower() == attribute.lower()), [])


CHECKS = (destinations, writable)

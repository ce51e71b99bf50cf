"""The directory: the login, what each entry's destination is, and whether Bascule may write it."""

from collections.abc import Iterator

import ldap3
from ldap3 import MODIFY_REPLACE

from bascule.access import Access
from bascule.checks.finding import Finding, failure, ok, some, warning
from bascule.directory import Account, accounts, connected, render

NO_OPERATION_CONTROL = "1.3.6.1.4.1.4203.1.10.2"  # OpenLDAP: judge the act as if it were done, and don't do it
NO_OPERATION = 16_654  # the result that says: it would have been done
NO_RIGHTS, NO_CONTROL = 50, 12


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
    """Bascule may write the destination: asked with OpenLDAP's no-operation control, which changes nothing."""
    attribute = access.site.directory.destination.attribute
    account = next(iter(accounts(access)), None)
    if account is None:
        return
    with connected(access) as connection:
        result = _would_replace(connection, account, attribute)
    subject = f"directory: {attribute}"
    if result["result"] == NO_OPERATION:
        yield ok(subject, f"the directory would let Bascule write it (tried on {account.dn} without changing it)")
    elif result["result"] == NO_RIGHTS:
        yield failure(subject, f"the directory would not let Bascule write it ({account.dn}): mend its access rules")
    elif result["result"] == NO_CONTROL:
        yield warning(
            subject,
            "the directory has no no-operation control, so the right to write it can't be tried without changing "
            "something: try it by hand on an entry of your own",
        )
    else:
        words = f"{result['description']} {result['message']}".strip()
        yield failure(subject, f"the directory would refuse to write it on {account.dn}: {words}")


def _would_replace(connection: ldap3.Connection, account: Account, attribute: str) -> dict:
    """The result of replacing the attribute by its own values, had it been done."""
    present = _values(account, attribute)
    control = (NO_OPERATION_CONTROL, True, None)
    connection.modify(account.dn, {attribute: [(MODIFY_REPLACE, present)]}, controls=[control])
    return connection.result


def _state(access: Access, account: Account) -> str:
    wanted = access.site.directory.destination
    present = _values(account, wanted.attribute)
    if present == [render(wanted.before, account)]:
        return "before"
    return "after" if present == [render(wanted.after, account)] else (", ".join(present) or "nothing")


def _values(account: Account, attribute: str) -> list[str]:
    return next((list(values) for name, values in account.entry.items() if name.lower() == attribute.lower()), [])


CHECKS = (destinations, writable)

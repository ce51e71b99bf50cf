"""The directory: the login, what each entry's destination is, and whether Bascule may write it."""

import secrets
from collections.abc import Iterator

from ldap3 import MODIFY_DELETE, Connection

from bascule.checks.preflight.finding import Finding, failure, ok, some, warning
from bascule.hosts.access import Access
from bascule.hosts.directory import (
    EQUALITY,
    NO_RIGHTS,
    NO_SUCH_VALUE,
    Account,
    ChangesRefused,
    IsReplica,
    accounts,
    connected,
    elsewhere,
    modify,
    reason,
    render,
    search,
    selection_filter,
)


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
    """Bascule may write the destination, and what the site file names for quotas and moves."""
    account = next(iter(accounts(access)), None)
    if account is None:
        return  # `destinations` tells
    absent = {access.site.directory.destination.attribute: f"bascule-{secrets.token_hex(8)}"}
    if quota := access.site.mailboxes.quota:
        absent[quota.attribute] = render(quota.value, account, bytes=secrets.randbelow(10**12) + 10**17)
    if moves := access.site.moves:
        absent[moves.route.attribute] = absent[moves.hold_attribute] = f"bascule-{secrets.token_hex(8)}"
        absent[moves.delay_attribute] = str(secrets.randbelow(10**12) + 10**12)
    with connected(access) as connection:
        try:
            for attribute, value in absent.items():
                yield _writable(access, connection, account, attribute, value)
        except IsReplica as error:
            yield failure("directory", str(error))


def _writable(access: Access, connection: Connection, account: Account, attribute: str, absent: str) -> Finding:
    """Ask by deleting a value that isn't there, which can't change anything.

    A directory looks at the rights before it looks for the value, so its reason for the refusal tells them.
    """
    subject = f"directory: {attribute}"
    try:
        result = modify(access, connection, account.dn, attribute, [(MODIFY_DELETE, [absent])])
    except IsReplica:
        raise
    except ChangesRefused as error:
        return failure(subject, str(error))
    if result == NO_SUCH_VALUE:
        return ok(subject, f"Bascule may write it (asked on {account.dn}, without changing it)")
    if result == NO_RIGHTS:
        return failure(subject, f"Bascule may not write it ({account.dn}): mend the directory's access rules")
    words = reason(connection)
    return failure(subject, f"whether Bascule may write it is unknown, the directory said: {words} ({account.dn})")


def found_by_name(access: Access) -> Iterator[Finding]:
    """An account can be asked for by its name, as each run for some accounts does."""
    account = next(iter(accounts(access)), None)
    if account is None:
        return  # `destinations` tells
    attribute = access.site.directory.account
    with connected(access) as connection:
        found = list(search(connection, access.site, selection_filter(access.site, [account.name])))
    subject = f"directory: {attribute}"
    if len(found) == 1:
        yield ok(subject, f"accounts are found by it (asked for {account.name})")
    else:
        what = f"nobody can be found by name (asked for {account.name})"
        yield failure(subject, f"`{attribute}` {EQUALITY.format(what=what)}")


def _state(access: Access, account: Account) -> str:
    wanted = access.site.directory.destination
    present = account.values(wanted.attribute)
    if present == [render(wanted.before, account)]:
        return "before"
    return "after" if present == [render(wanted.after, account)] else (", ".join(present) or "nothing")


def whole_tree(access: Access) -> Iterator[Finding]:
    """No part of the tree lies in another directory, whose accounts would be forgotten."""
    with connected(access) as connection:
        places = elsewhere(connection, access.site)
    base = access.site.directory.base
    if places:
        yield warning(
            "directory",
            f"parts of the tree below {base} lie in other directories, which are not asked: {some(places)}. "
            "If accounts of the site are there, let the connection lead to a directory that holds all of them",
        )
    else:
        yield ok("directory", f"the whole tree below {base} lies in this directory")


CHECKS = (destinations, whole_tree, found_by_name, writable)

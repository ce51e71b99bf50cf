"""The directory: LDAP connections, and the accounts that it holds."""

import re
import ssl
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import ldap3
from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from ldap3.core.exceptions import (
    LDAPAttributeError,
    LDAPException,
    LDAPInvalidFilterError,
    LDAPInvalidValueError,
    LDAPObjectClassError,
)
from ldap3.protocol.rfc4512 import SchemaInfo
from ldap3.utils.conv import escape_filter_chars

from bascule.hosts import tls
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError, Connection
from bascule.hosts.remembered import Remembered
from bascule.site import Site
from bascule.text.harmless import harmless
from bascule.text.reason import reason as reason_of

TIMEOUT = 30  # seconds, to connect and for each answer
NAMES_AT_ONCE = 200  # in the filter of one search
LAG = 60.0  # seconds until a replica shows a change that it has sent on
# Results of LDAP (RFC 4511 section 4.1.9).
SIZE_LIMIT, REFERRAL, NO_SUCH_VALUE, UNDEFINED_ATTRIBUTE, NO_EQUALITY = 4, 10, 16, 17, 18
VALUE_EXISTS, NO_RIGHTS = 20, 50
# What ldap3 says before it asks: parentheses, or the names and values of attributes.
WRONG_FILTER = (LDAPInvalidFilterError, LDAPAttributeError, LDAPObjectClassError, LDAPInvalidValueError)
EQUALITY = (
    "has no rule of equality in the directory's schema, so that {what}: give it one there (`EQUALITY "
    "caseIgnoreIA5Match` for addresses, `caseIgnoreMatch` for other text, `integerMatch` for numbers), or name "
    "another attribute in the site file"
)

Step = tuple[str, Sequence[str]]  # ldap3's MODIFY_DELETE or MODIFY_ADD, and the values


class DirectoryError(AccessError):
    """Raised when the directory can't be reached or searched, or when an entry makes no account."""


class SelectionRefused(DirectoryError):
    """Raised when nobody can be meant by what accounts were asked for: by a filter that is none, or an unknown name."""


class ChangesRefused(DirectoryError):
    """Raised when the directory changes an attribute in no entry whatsoever; the text says the remedy."""


class IsReplica(ChangesRefused):
    """Raised when the directory sends everybody who wants to change something to another host."""


@dataclass(frozen=True)
class Account:
    """One person or role in the directory; attribute values as text, each a list."""

    name: str
    dn: str
    entry: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)

    def values(self, attribute: str) -> list[str]:
        """The attribute's values; names of attributes know no case (RFC 4512 section 2.5)."""
        return list(next((values for name, values in self.entry.items() if name.lower() == attribute.lower()), []))


# What may become a part of a login, a path or an address. LDAP would allow more; mail servers don't.
ACCOUNT_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}\Z")


@contextmanager
def connected(access: Access) -> Iterator[ldap3.Connection]:
    """A bound LDAP connection, as the site's `directory.connection` says. Raises DirectoryError."""
    connection = access.connections.get(access.site.directory.connection)
    bound = _bound(connection, _schemas.of(access, lambda: _schema(connection)))
    try:
        yield bound
    finally:
        _unbind(bound)


def _unbind(bound: ldap3.Connection) -> None:
    """A connection that the server has reset is over as well, and what was done by it has its own answer."""
    with suppress(LDAPException):
        bound.unbind()


def _schema(connection: Connection) -> SchemaInfo | None:
    """By which ldap3 checks the names of attributes. To read it takes longer than all else of an act."""
    bound = _bound(connection, None)
    try:
        bound.refresh_server_info()
    except LDAPException as error:
        raise DirectoryError(f"the schema of {connection.host} can't be read: {_reason(error)}") from None
    finally:
        _unbind(bound)
    return bound.server.schema


_schemas: Remembered[SchemaInfo | None] = Remembered()


def _bound(connection: Connection, schema: SchemaInfo | None) -> ldap3.Connection:
    """A new connection, whose ldap3 knows this schema. Raises DirectoryError."""
    security = connection.extra.get("security", "ldaps")
    server = ldap3.Server(
        connection.host,
        port=connection.port or (636 if security == "ldaps" else 389),
        use_ssl=security == "ldaps",
        tls=ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=tls.ca_file(connection)),
        connect_timeout=TIMEOUT,
    )
    server.attach_schema_info(schema)
    bound = ldap3.Connection(
        server,
        user=connection.login,
        password=connection.password,
        receive_timeout=TIMEOUT,
        auto_bind=ldap3.AUTO_BIND_NONE,
        auto_referrals=False,  # else the login would go wherever a replica points to, in the clear
        raise_exceptions=False,
    )
    try:
        bound.open(read_server_info=False)
        if security == "starttls" and not bound.start_tls(read_server_info=False):
            raise DirectoryError(f"the directory {connection.host} refuses STARTTLS: {reason(bound)}")
        if not bound.bind(read_server_info=False):
            raise DirectoryError(
                f"the directory {connection.host} refuses the login of {connection.login!r} "
                f"(connection `{connection.conn_id}`): {reason(bound)}"
            )
    except LDAPException as error:
        raise DirectoryError(f"the directory {connection.host} can't be reached: {_reason(error)}") from None
    return bound


def accounts(access: Access, selection: str | Sequence[str] = "all") -> list[Account]:
    """The accounts of the site, sorted by name: all of them, those of a list, or those that an LDAP filter finds.

    Raises SelectionRefused, also when a name of the list is in no entry, so that nobody is forgotten silently; and
    DirectoryError.
    """
    site = access.site
    with connected(access) as connection:
        found = [account_of(site, item) for item in chosen(connection, site, selection)]
    doubles = {name for name, entries in Counter(account.name for account in found).items() if entries > 1}
    if doubles:
        raise DirectoryError(f"more than one entry of the directory has the account name {', '.join(sorted(doubles))}")
    if not isinstance(selection, str) and (missing := set(selection) - {account.name for account in found}):
        raise SelectionRefused(f"the directory has no account {', '.join(sorted(missing))}")
    return sorted(found, key=lambda account: account.name)


def known(access: Access, names: Collection[str]) -> set[str]:
    """Those of the names that are accounts of the site. Raises DirectoryError."""
    possible = [name for name in names if ACCOUNT_NAME.match(name)]
    if not possible:
        return set()
    site, attribute = access.site, access.site.directory.account.lower()
    with connected(access) as connection:
        found = chosen(connection, site, possible)
        values = [item["raw_attributes"] for item in found]
    told = {
        value.decode(errors="replace").lower()
        for entry in values
        for name, several in entry.items()
        if name.lower() == attribute
        for value in several
    }
    return {name for name in possible if name.lower() in told}


def parse_selection(text: str) -> str | list[str]:
    """What a trigger form's `accounts` means: `all`, an LDAP filter in parentheses, or names with commas or spaces."""
    text = text.strip()
    if text in ("", "all"):
        return "all"
    return text if text.startswith("(") else [name for name in re.split(r"[\s,]+", text) if name]


def search(connection: ldap3.Connection, site: Site, ldap_filter: str) -> Iterator[dict[str, Any]]:
    """Entries below the site's base, page by page. Raises DirectoryError."""
    return (item for item in _answers(connection, site, ldap_filter) if item["type"] == "searchResEntry")


def chosen(connection: ldap3.Connection, site: Site, selection: str | Sequence[str]) -> Iterator[dict[str, Any]]:
    """The entries of a selection, each once; many names are asked for in several searches. Raises DirectoryError.

    ldap3 makes a filter anew for each page, and a directory may compare each entry with each name in it.
    """
    if isinstance(selection, str) or len(selection) <= NAMES_AT_ONCE:
        yield from search(connection, site, selection_filter(site, selection))
        return
    seen = set[str]()
    for first in range(0, len(selection), NAMES_AT_ONCE):
        some = selection_filter(site, selection[first : first + NAMES_AT_ONCE])
        for item in search(connection, site, some):
            if item["dn"] not in seen:
                seen.add(item["dn"])
                yield item


def named(connection: ldap3.Connection, site: Site, name: str) -> list[Account]:
    """All entries of this name, whatever else they are, also in another case. Raises DirectoryError."""
    found = search(connection, site, f"({site.directory.account}={escape_filter_chars(name)})")
    return [Account(name, item["dn"], _entry(item)) for item in found]


def elsewhere(connection: ldap3.Connection, site: Site) -> list[str]:
    """Where parts of the tree below the site's base lie that no search looks into. Raises DirectoryError."""
    answers = _answers(connection, site, site.directory.filter)
    return [harmless(place) for item in answers if item["type"] == "searchResRef" for place in item["uri"]]


def _answers(connection: ldap3.Connection, site: Site, ldap_filter: str) -> Iterator[dict[str, Any]]:
    try:
        pages = connection.extend.standard.paged_search(
            site.directory.base, ldap_filter, attributes=["*"], paged_size=site.directory.page_size, generator=True
        )
        yield from pages
    except LDAPException as error:
        kind = SelectionRefused if isinstance(error, WRONG_FILTER) else DirectoryError
        raise kind(f"the search {ldap_filter!r} below {site.directory.base!r} failed: {_reason(error)}") from None
    if connection.result["result"] == SIZE_LIMIT:
        raise DirectoryError(_limited(connection, site.directory.base))
    if connection.result["result"] != 0:
        raise DirectoryError(f"the search {ldap_filter!r} below {site.directory.base!r} failed: {reason(connection)}")


def _limited(connection: ldap3.Connection, base: str) -> str:
    """What is to be done about the directory's limit, for the login that the connection has, or for none."""
    user = connection.user
    whom, login, openldap = (
        (repr(user), "this login", f'dn.exact="{user}"') if user else ("who does not log in", "them", "anonymous")
    )
    return (
        f"the directory {connection.server.host} gives {whom} only a part of the entries below {base!r}: it limits how "
        f"many one search may find. Take that limit away for {login} "
        f"(OpenLDAP, which has 500 by itself: `limits {openldap} size=unlimited`)"
    )


def modify(access: Access, connection: ldap3.Connection, dn: str, attribute: str, steps: Sequence[Step]) -> int:
    """Change one attribute of one entry; LDAP's result, 0 when it was changed; `reason` has the directory's words.

    Raises ChangesRefused when no entry's attribute can be changed here, and DirectoryError.
    """
    return modify_together(access, connection, dn, {attribute: steps})


def modify_together(
    access: Access, connection: ldap3.Connection, dn: str, changes: Mapping[str, Sequence[Step]]
) -> int:
    """Change several attributes of one entry in one modify: all of them, or none. Otherwise as `modify`."""
    attribute = "`, `".join(changes)
    try:
        connection.modify(dn, {name: list(steps) for name, steps in changes.items()})
    except LDAPAttributeError:
        raise ChangesRefused(f"the directory {connection.server.host} knows no attribute `{attribute}`") from None
    except LDAPException as error:
        raise DirectoryError(f"the directory broke off at {dn!r}: {_reason(error)}") from None
    result = int(connection.result["result"])
    if result == REFERRAL:
        raise IsReplica(
            f"the directory {connection.server.host} is a replica that takes no changes: they go to "
            f"{_places(connection)}. Name that host, with TLS, in the connection `{access.site.directory.connection}`"
        )
    if result == NO_EQUALITY:
        raise ChangesRefused(f"`{attribute}` {EQUALITY.format(what='no single value of it can be exchanged')}")
    if result == UNDEFINED_ATTRIBUTE:
        raise ChangesRefused(f"the directory {connection.server.host} knows no attribute `{attribute}`")
    return result


def reason(connection: ldap3.Connection) -> str:
    """The directory's words about the last operation."""
    words = f"{connection.result['description']} {connection.result['message']}".strip()
    return f"{words} to {_places(connection)}" if connection.result["result"] == REFERRAL else words


def _reason(error: LDAPException) -> str:
    """ldap3's words without its names: where a host has several addresses, it puts its exceptions into a list."""
    if len(error.args) > 1 and isinstance(error.args[1], list) and error.args[1]:
        return _reason(error.args[1][-1][2])
    return re.sub(r"""^[("']+|[)"',]+$""", "", reason_of(error))


def _places(connection: ldap3.Connection) -> str:
    return harmless(", ".join(connection.result.get("referrals") or []) or "a place that it does not name")


def account_of(site: Site, item: Mapping[str, Any]) -> Account:
    """The account of one entry found. Raises DirectoryError when the entry has no usable name."""
    entry = _entry(item)
    names = next((v for k, v in entry.items() if k.lower() == site.directory.account.lower()), [])
    if len(names) != 1 or not ACCOUNT_NAME.match(names[0]):
        raise DirectoryError(
            f"the entry {item['dn']!r} has no usable account name in `{site.directory.account}` ({names!r}): "
            "mend the entry, or leave it out by `directory.filter`"
        )
    return Account(names[0], item["dn"], entry)


def _entry(item: Mapping[str, Any]) -> dict[str, list[str]]:
    return {
        name: [value.decode(errors="replace") for value in values] for name, values in item["raw_attributes"].items()
    }


def render(template: str, account: Account, **values: object) -> str:
    """Fill a template of the site file with one account's entry. Raises DirectoryError naming the entry."""
    try:
        return _environment.from_string(template).render(account=account.name, entry=account.entry, **values)
    except Exception as error:
        raise DirectoryError(f"the template {template!r} can't be filled from {account.dn!r}: {error}") from None


_environment = SandboxedEnvironment(undefined=StrictUndefined)


def selection_filter(site: Site, selection: str | Sequence[str]) -> str:
    """The LDAP filter that finds a selection of the site's accounts (`all`, a filter, or a list of names)."""
    everyone = site.directory.filter
    if selection == "all":
        return everyone
    if isinstance(selection, str):
        return f"(&{everyone}{selection})"
    names = "".join(f"({site.directory.account}={escape_filter_chars(name)})" for name in selection)
    return f"(&{everyone}(|{names}))"

"""Entries of the practice site's directory that tests make for themselves and take away again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import ldap3

from lab.facts import PEOPLE_BASE
from lab.hosts.secrets import LDAP_ADMIN_DN
from tests.integration.conftest import Lab

ATTRIBUTE = "mailRoutingAddress"


@contextmanager
def administrator(lab: Lab) -> Iterator[ldap3.Connection]:
    tls = ldap3.Tls(ca_certs_file=str(lab.instance.ca_certificate), validate=2)
    server = ldap3.Server("ldap.obs.test", port=636, use_ssl=True, tls=tls, get_info=ldap3.NONE)
    with ldap3.Connection(server, LDAP_ADMIN_DN, lab.secrets.ldap_admin, auto_bind=True) as connection:
        yield connection


def dn_of(account: str) -> str:
    return f"uid={account},{PEOPLE_BASE}"


def add(connection: ldap3.Connection, account: str, destination: str | None = None) -> None:
    """An account whose mail goes to old, or to `destination`."""
    attributes = {
        "uid": account,
        "cn": f"Élise {account}",
        "sn": account,
        ATTRIBUTE: destination or f"{account}@old.obs.test",
    }
    assert connection.add(dn_of(account), ["inetOrgPerson", "inetLocalMailRecipient"], attributes), connection.result


def remove(connection: ldap3.Connection, accounts: Sequence[str]) -> None:
    for account in accounts:
        connection.delete(dn_of(account))


def set_destination(connection: ldap3.Connection, account: str, destination: str) -> None:
    """What a person does who changes the entry by hand."""
    changes = {ATTRIBUTE: [(ldap3.MODIFY_REPLACE, [destination])]}
    assert connection.modify(dn_of(account), changes), connection.result


def destination_of(connection: ldap3.Connection, account: str) -> str:
    connection.search(dn_of(account), "(objectClass=*)", ldap3.BASE, attributes=[ATTRIBUTE])
    return str(connection.entries[0][ATTRIBUTE])

"""Directories of a test's own on the practice site's host `ldap`: a provider, and consumers that replicate it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bascule.hosts.access import Access

from lab.facts import LDAP_BASE, PEOPLE_BASE
from lab.hosts.secrets import LDAP_BASCULE_DN
from tests.integration.conftest import Lab

PROVIDER, CONSUMER = 2389, 2390  # ports in the clear; with TLS it is a thousand more
ACCOUNTS = ("replica-ada", "replica-bob", "replica-cleo")
WAIT = "timeout 60 bash -c 'until {} >/dev/null 2>&1; do sleep 0.2; done'"
COMMON = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/misc.schema
attributetype ( 1.3.6.1.4.1.99999.2.1 NAME 'mailWay' SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 )
attributetype ( 1.3.6.1.4.1.99999.2.2 NAME 'login' SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 )
attributetype ( 1.3.6.1.4.1.99999.1.1 NAME 'mailQuota' EQUALITY integerMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.99999.1.2 NAME 'mailDelayUntil' EQUALITY integerMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.99999.1.3 NAME 'mailHold' EQUALITY caseIgnoreIA5Match
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 SINGLE-VALUE )
ditcontentrule ( 2.16.840.1.113730.3.2.2 NAME 'person2' AUX inetLocalMailRecipient
  MAY ( mailWay $ login $ mailQuota $ mailDelayUntil $ mailHold ) )
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload back_ldap
moduleload syncprov
TLSCACertificateFile /etc/ssl/certs/lab-ca.pem
TLSCertificateFile /etc/ssl/obs/host.pem
TLSCertificateKeyFile /etc/ssl/obs/host.key
pidfile {place}/pid
"""
DATABASE = f"""\
database mdb
suffix "{LDAP_BASE}"
directory {{place}}/data
rootdn "{LDAP_BASCULE_DN}"
rootpw {{password}}
"""
SYNCREPL = f"""\
syncrepl rid=1 provider=ldap://127.0.0.1:{PROVIDER} type={{kind}} searchbase="{LDAP_BASE}"
  bindmethod=simple binddn="{LDAP_BASCULE_DN}" credentials={{password}}
updateref {{updateref}}
"""
# Sends changes on to the provider, and so shows them only when they come back.
CHAIN = f"""\
overlay chain
chain-uri ldap://127.0.0.1:{PROVIDER}
chain-idassert-bind bindmethod=simple binddn="{LDAP_BASCULE_DN}" credentials={{password}} mode=self
chain-return-error TRUE
"""


@dataclass(frozen=True)
class Slapds:
    """The host's own slapds, each by its port."""

    lab: Lab

    @property
    def password(self) -> str:
        return self.lab.secrets.ldap_bascule

    @contextmanager
    def provider(self, entries: str) -> Iterator[None]:
        """A provider with these entries (LDIF) below the base."""
        with self._running(PROVIDER, DATABASE + "overlay syncprov\n", _base() + entries):
            yield

    @contextmanager
    def consumer(self, updateref: str) -> Iterator[None]:
        """A read-only consumer that shows changes at once, and refers who wants to make one."""
        syncrepl = SYNCREPL.replace("{kind}", "refreshAndPersist").replace("{updateref}", updateref)
        with self._running(CONSUMER, DATABASE + syncrepl):
            self._wait_for_entries()
            yield

    @contextmanager
    def chaining_consumer(self, seconds: int) -> Iterator[None]:
        """A consumer that sends changes on, and itself shows them up to so many seconds later."""
        kind = f"refreshOnly interval=00:00:00:{seconds:02}"
        syncrepl = SYNCREPL.replace("{kind}", kind).replace("{updateref}", f"ldap://127.0.0.1:{PROVIDER}")
        with self._running(CONSUMER, CHAIN + DATABASE + syncrepl):
            self._wait_for_entries()
            yield

    def add(self, entry: str) -> None:
        """Add an entry (LDIF) to the provider."""
        self.lab.ssh("ldap", f"{self._as_administrator('ldapadd')}", input=entry)

    def remove(self, dn: str) -> None:
        self.lab.ssh("ldap", f"{self._as_administrator('ldapdelete')} '{dn}'")

    def _as_administrator(self, command: str) -> str:
        return f"{command} -MxH ldap://127.0.0.1:{PROVIDER} -D '{LDAP_BASCULE_DN}' -w '{self.password}'"

    def access(self, port: int, **directory: object) -> Access:
        """Bascule, its connection leading to this slapd with TLS; `directory`: other keys of that part."""
        known = json.loads(self.lab.environ["AIRFLOW_CONN_BASCULE_LDAP"]) | {"port": port + 1000}
        part = self.lab.site.directory.model_copy(update=directory)
        return self.lab.access(
            self.lab.site.model_copy(update={"directory": part}),
            {**self.lab.environ, "AIRFLOW_CONN_BASCULE_LDAP": json.dumps(known)},
        )

    @contextmanager
    def _running(self, port: int, configuration: str, entries: str = "") -> Iterator[None]:
        place, unit = f"/srv/slapd-{port}", f"slapd-{port}"
        self.lab.ssh("ldap", f"systemctl stop {unit} 2>/dev/null; rm -rf {place}; mkdir -p {place}/data")
        text = (COMMON + configuration).replace("{place}", place).replace("{password}", self.password)
        self.lab.write("ldap", f"{place}/slapd.conf", text)
        if entries:
            self.lab.ssh("ldap", "slapadd", "-q", "-f", f"{place}/slapd.conf", input=entries)
        urls = f"ldap://:{port} ldaps://:{port + 1000}"
        slapd = f"slapd -d none -f {place}/slapd.conf -h '{urls}'"
        self.lab.ssh("ldap", f"systemd-run --quiet --collect --unit={unit} {slapd}")
        try:
            self.lab.ssh("ldap", WAIT.format(f"ldapwhoami -xH ldap://127.0.0.1:{port}"))
            yield
        finally:
            self.lab.ssh("ldap", f"systemctl stop {unit}; rm -rf {place}")

    def _wait_for_entries(self) -> None:
        count = f"ldapsearch -xLLLH ldap://127.0.0.1:{CONSUMER} -b {PEOPLE_BASE} uid=* dn | grep -c ^dn:"
        self.lab.ssh("ldap", WAIT.format(f'[ "$({count})" = {len(ACCOUNTS)} ]'))


def people(accounts: Sequence[str] = ACCOUNTS) -> str:
    """LDIF of people whose mail goes to old; `mailWay` and `login` have no equality rule."""
    return "\n".join(
        f"dn: uid={name},{PEOPLE_BASE}\nobjectClass: inetOrgPerson\nobjectClass: inetLocalMailRecipient\n"
        f"uid: {name}\ncn: {name}\nsn: {name}\nlogin: {name}\n"
        f"mailRoutingAddress: {name}@old.obs.test\nmailWay: {name}@old.obs.test\n"
        for name in accounts
    )


def _base() -> str:
    return (
        f"dn: {LDAP_BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: obs\no: Observatoire\n\n"
        f"dn: {PEOPLE_BASE}\nobjectClass: organizationalUnit\nou: people\n\n"
    )

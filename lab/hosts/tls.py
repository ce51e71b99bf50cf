"""The lab's certificate authority and the certificates of its hosts; one authority per instance."""

from dataclasses import dataclass
from pathlib import Path

import trustme

from lab.facts import DOMAIN, HOSTS
from lab.shell import run

# The names that a host's certificate is valid for, besides its own.
EXTRA_NAMES = {
    "old": ("pop",),
    "new": ("imap", "pop", "smtp"),
    "proxy": ("imap",),
    "web": ("webmail",),
    "sogo": ("calendar",),
}


@dataclass(frozen=True)
class Certificate:
    """PEM texts: the certificate with its issuer's, and its private key."""

    chain: str
    key: str


class Authority:
    """Signs the hosts' certificates. Lies in the instance's `tls/` directory; made when it isn't there."""

    def __init__(self, directory: Path):
        self._certificate_file = directory / "ca.pem"
        self._key_file = directory / "ca.key"
        if not (self._certificate_file.exists() and self._key_file.exists()):
            self._make()
        self._authority = trustme.CA.from_pem(self._certificate_file.read_bytes(), self._key_file.read_bytes())

    @property
    def pem(self) -> str:
        return self._certificate_file.read_text()

    def subject_hash(self) -> str:
        """The name under which OpenSSL looks the authority up in a directory of certificates."""
        return run(["openssl", "x509", "-noout", "-subject_hash", "-in", self._certificate_file]).strip()

    def issue(self, host: str) -> Certificate:
        """A new certificate, valid for all names of the host."""
        names = names_of(host)
        issued = self._authority.issue_cert(*names, common_name=names[0])
        chain, key = issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes()
        return Certificate(chain.decode() + self.pem, key.decode())

    def _make(self) -> None:
        made = trustme.CA(organization_name="Bascule", organization_unit_name="Bascule lab authority")
        self._key_file.parent.mkdir(parents=True, exist_ok=True)
        self._key_file.touch(mode=0o600)
        made.private_key_pem.write_to_path(self._key_file)
        made.cert_pem.write_to_path(self._certificate_file)


def names_of(host: str) -> list[str]:
    """Every name that the host may be asked for over TLS; its own first."""
    return [HOSTS[host].fqdn, *(f"{name}.{DOMAIN}" for name in EXTRA_NAMES.get(host, ()))]

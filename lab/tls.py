"""The lab's certificate authority and the certificates of its hosts; one authority per instance."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.facts import DOMAIN, HOSTS
from lab.shell import run

VALIDITY = datetime.timedelta(days=365)

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
        self._certificate = x509.load_pem_x509_certificate(self._certificate_file.read_bytes())
        key = serialization.load_pem_private_key(self._key_file.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key

    @property
    def pem(self) -> str:
        return self._certificate_file.read_text()

    def subject_hash(self) -> str:
        """The name under which OpenSSL looks the authority up in a directory of certificates."""
        return run(["openssl", "x509", "-noout", "-subject_hash", "-in", self._certificate_file]).strip()

    def issue(self, host: str) -> Certificate:
        """A new certificate, valid for all names of the host."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = names_of(host)
        certificate = (
            _builder(names[0], self._certificate.subject, key.public_key())
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Certificate(_pem(certificate) + self.pem, _key_pem(key))

    def _make(self) -> None:
        self._key_file.parent.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Bascule lab authority")
        certificate = (
            _builder("Bascule lab authority", name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_signing_only(), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        self._key_file.touch(mode=0o600)
        self._key_file.write_text(_key_pem(key))
        self._certificate_file.write_text(_pem(certificate))


def names_of(host: str) -> list[str]:
    """Every name that the host may be asked for over TLS; its own first."""
    return [HOSTS[host].fqdn, *(f"{name}.{DOMAIN}" for name in EXTRA_NAMES.get(host, ()))]


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + VALIDITY)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _signing_only() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    private = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()).decode()

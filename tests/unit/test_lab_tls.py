"""The lab's certificate authority."""

import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from lab.tls import Authority, Certificate, names_of


def _verified(authority: Authority, certificate: Certificate, name: str) -> bool:
    store = Store(x509.load_pem_x509_certificates(authority.pem.encode()))
    leaf = x509.load_pem_x509_certificates(certificate.chain.encode())[0]
    try:
        PolicyBuilder().store(store).build_server_verifier(x509.DNSName(name)).verify(leaf, [])
    except VerificationError:
        return False
    return True


def test_certificate_is_valid_for_its_hosts_names_and_no_other(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate = authority.issue("new")
    assert [name for name in names_of("new") if not _verified(authority, certificate, name)] == []
    assert not _verified(authority, certificate, "old.obs.test")


def test_certificate_of_another_authority_is_not_valid(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "a"), Authority(tmp_path / "b")
    assert not _verified(authority, other.issue("new"), "new.obs.test")


def test_authority_is_made_once(tmp_path: Path) -> None:
    assert Authority(tmp_path).pem == Authority(tmp_path).pem


def test_private_key_is_private(tmp_path: Path) -> None:
    Authority(tmp_path)
    assert stat.S_IMODE((tmp_path / "ca.key").stat().st_mode) == 0o600


def test_openssl_takes_chain_and_key(tmp_path: Path) -> None:
    certificate = Authority(tmp_path).issue("old")
    (tmp_path / "host.pem").write_text(certificate.chain + certificate.key)
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(tmp_path / "host.pem")


@pytest.mark.parametrize(
    ("host", "name"),
    [("new", "imap.obs.test"), ("new", "pop.obs.test"), ("old", "pop.obs.test"), ("proxy", "imap.obs.test")],
)
def test_whoever_may_own_a_service_address_may_answer_for_its_name(host: str, name: str) -> None:
    assert name in names_of(host)

"""The lab's certificate authority."""

import ssl
import stat
from pathlib import Path

import pytest

from lab.hosts.tls import Authority, Certificate, names_of


def _verified(authority: Authority, certificate: Certificate, name: str, folder: Path) -> bool:
    """Whether a client that trusts the authority takes the certificate for this name."""
    (folder / "host.pem").write_text(certificate.chain + certificate.key)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(folder / "host.pem")
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cadata=authority.pem).wrap_bio(back, there, server_hostname=name)
    server = server_side.wrap_bio(there, back, server_side=True)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError:
            return False
    return True


def test_certificate_is_valid_for_its_hosts_names_and_no_other(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate = authority.issue("new")
    assert [name for name in names_of("new") if not _verified(authority, certificate, name, tmp_path)] == []
    assert not _verified(authority, certificate, "old.obs.test", tmp_path)


def test_certificate_of_another_authority_is_not_valid(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "a"), Authority(tmp_path / "b")
    assert not _verified(authority, other.issue("new"), "new.obs.test", tmp_path)


def test_authority_is_made_once_and_goes_on_issuing(tmp_path: Path) -> None:
    first, again = Authority(tmp_path), Authority(tmp_path)
    assert first.pem == again.pem
    assert _verified(first, again.issue("new"), "new.obs.test", tmp_path)


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

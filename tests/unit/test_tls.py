"""TLS contexts: made once, checking, and an authority that can't be read is named with its connection."""

import ssl
from pathlib import Path

import pytest
from bascule.hosts import tls
from bascule.hosts.connections import AccessError, Connection

PACKAGE = Path(tls.__file__).parents[1]


def test_a_context_is_made_once_and_checks() -> None:
    found = tls.context(None)
    assert found is tls.context(None)
    assert found is not tls.web_context(None)  # httpx writes its own protocol into it, which no mail server knows
    assert (found.verify_mode, found.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(
    ("text", "reason"), [(None, "No such file or directory"), ("no certificate", "it is no certificate in PEM form")]
)
def test_an_authority_that_can_not_be_read_is_named_with_its_connection(
    text: str | None, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(AccessError) as raised:
        tls.ca_file(Connection("ldap_univ", "ldap.univ.test", extra={"ca_file": str(path)}))
    assert str(raised.value) == (
        f"the connection `ldap_univ`: `ca_file` {path} can't be used where Bascule runs: {reason}"
    )


def test_nobody_else_makes_a_context() -> None:
    makers = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if "create_default_context" in (text := path.read_text(encoding="utf-8")) or "ssl.SSLContext(" in text
    }
    assert makers == {"hosts/tls.py", "remote/client_connection.py"}  # the latter runs on another host

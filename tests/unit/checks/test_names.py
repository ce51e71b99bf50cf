"""Names in DNS: one without an address is told from one that nobody could look up."""

import dns.exception
import dns.resolver
import pytest
from bascule.checks import names
from structlog.testing import capture_logs


def looked_up(name: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the log says of a look-up that ends so."""

    def resolve(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(dns.resolver, "resolve", resolve)
    with capture_logs() as logged:
        assert names._addresses(name) == []
    return [f"{entry['name']} {entry['kind']}" for entry in logged]


def test_a_name_that_is_not_there_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked_up("gone.obs.test", dns.resolver.NXDOMAIN(), monkeypatch) == []


def test_a_name_server_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = looked_up("mail.obs.test", dns.exception.Timeout(), monkeypatch)
    assert told == ["mail.obs.test A", "mail.obs.test AAAA"]


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
def test_an_address_is_its_own(address: str) -> None:
    assert names._addresses(address) == [address]

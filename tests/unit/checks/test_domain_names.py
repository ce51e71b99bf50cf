"""Names in DNS: without an address, or looked up by nobody; and what was not asked is no `ok`."""

from types import SimpleNamespace
from typing import Any

import dns.exception
import dns.resolver
import pytest
from bascule.checks.preflight import domain_names
from bascule.checks.preflight.finding import Finding

DOES_NOT_ANSWER = dns.exception.DNSException("Server Do53:127.0.0.11@53 answered SERVFAIL")
SITE = SimpleNamespace(
    domain="obs.test",
    hosts={name: SimpleNamespace(address=f"{name}.obs.test") for name in ("old", "mx")},
    queues=SimpleNamespace(mx="mx"),
    service_addresses=SimpleNamespace(
        imap=SimpleNamespace(name="imap.obs.test", address="198.51.100.31/32"),
        pop=SimpleNamespace(name="pop.obs.test", address="198.51.100.32/32"),
    ),
)


def looked_up(check: Any, answers: Any, monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What the check finds where each question is answered so: by records, or by an exception."""

    def resolve(name: Any, kind: str, **_: object) -> Any:
        answer = answers.get(kind, dns.resolver.NoAnswer) if isinstance(answers, dict) else answers
        if not isinstance(answer, list):
            raise answer
        return [SimpleNamespace(to_text=lambda text=text: text) for text in answer]

    monkeypatch.setattr(dns.resolver, "resolve", resolve)
    monkeypatch.setattr(dns.resolver, "zone_for_name", lambda name, **_: resolve(name, "SOA"))
    return list(check(SimpleNamespace(site=SITE)))


def test_a_name_without_an_address_is_not_one_that_nobody_could_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = looked_up(domain_names.hosts_and_services, dns.resolver.NXDOMAIN(), monkeypatch)
    assert {finding.level for finding in gone} == {"failure"}
    assert gone[0].sentence == "has no address: mend `hosts` or the zone"
    unknown = looked_up(domain_names.hosts_and_services, DOES_NOT_ANSWER, monkeypatch)
    assert len(unknown) == len(gone)
    for finding in unknown:
        assert "could not be looked up" in finding.sentence
        assert "127.0.0.11" not in finding.sentence


def test_reverse_names_of_no_address_are_not_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    [found] = looked_up(domain_names.reverse, dns.resolver.NXDOMAIN(), monkeypatch)
    assert (found.level, found.sentence) == ("warning", "not looked at: none of the 2 hosts has an address in DNS")


def test_reverse_names_say_how_many_addresses_were_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    [found] = looked_up(domain_names.reverse, {"A": ["192.0.2.1"], "PTR": ["old.obs.test."]}, monkeypatch)
    assert (found.level, found.sentence) == ("ok", "the 1 addresses of 2 hosts have names")


def test_a_host_without_an_address_is_not_among_those_that_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = [host.address for host in SITE.hosts.values()]
    monkeypatch.setattr(domain_names, "_addresses", lambda name: ["192.0.2.1"] if name == first else [])
    monkeypatch.setattr(domain_names, "_has_name", lambda address: True)
    [found] = looked_up(domain_names.reverse, {}, monkeypatch)
    assert others
    assert (found.level, found.sentence) == ("ok", "the 1 addresses of 1 hosts have names")


def test_a_domain_without_mail_exchanger_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    [found] = looked_up(domain_names.mail_exchanger, dns.resolver.NoAnswer(), monkeypatch)
    assert (found.level, found.sentence) == ("failure", "there is none, and `queues.mx` is mx.obs.test")


@pytest.mark.parametrize("check", [domain_names.mail_exchanger, domain_names.authoritative_servers])
def test_what_nobody_could_look_up_is_said_without_the_resolver_s_name(
    check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(domain_names.NotLookedUp) as raised:
        looked_up(check, DOES_NOT_ANSWER, monkeypatch)
    assert "/etc/resolv.conf" in str(raised.value)
    assert "Do53" not in str(raised.value)


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
def test_an_address_is_its_own(address: str) -> None:
    assert domain_names._addresses(address) == [address]

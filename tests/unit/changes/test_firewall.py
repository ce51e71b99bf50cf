"""The isolation's rules as text, and the order of what is done on the host."""

import pytest
from bascule.changes import firewall, probes
from bascule.changes.base import ChangeFailed
from bascule.changes.firewall import UNIT_PATH, Isolation, mark_of, rules_of
from bascule.site import IsolationPart

from tests.unit.changes.fakes import FakeAccess

PATH = "/etc/nftables.d/bascule.nft"


def part(**changes: object) -> IsolationPart:
    values: dict[str, object] = {"host": "old", "ports": [993, 143], "allow": ["198.51.100.1/32"]}
    return IsolationPart.model_validate(values | changes)


def test_the_rules_refuse_the_ports_to_all_but_the_listed_networks() -> None:
    rules = rules_of(part(allow=["198.51.100.1/32", "2001:db8::/64"]))
    accepted_4, accepted_6 = (
        rules.index("ip saddr { 198.51.100.1/32 } accept"),
        rules.index("ip6 saddr { 2001:db8::/64 }"),
    )
    assert accepted_4 < accepted_6 < rules.index("tcp dport { 143, 993 } counter reject with tcp reset")


def test_no_rule_is_made_for_a_family_without_networks() -> None:
    assert "ip6" not in rules_of(part())


def test_networks_that_overlap_are_merged_since_nftables_refuses_them() -> None:
    assert "{ 198.51.100.0/24 }" in rules_of(part(allow=["198.51.100.0/24", "198.51.100.1/32", "198.51.100.0/25"]))


def test_the_mark_stands_in_the_rules_and_changes_with_them() -> None:
    assert f'comment "{mark_of(part())}"' in rules_of(part())
    assert mark_of(part()) == mark_of(part(ports=[143, 993, 143]))
    assert mark_of(part()) != mark_of(part(ports=[143]))


def test_the_file_can_be_loaded_twice_in_one_transaction_each() -> None:
    lines = rules_of(part()).splitlines()
    made = lines.index("table inet bascule_isolation {}")
    assert lines[made + 1] == "delete table inet bascule_isolation"
    assert lines[made + 2] == "table inet bascule_isolation {"


def test_rules_take_effect_before_what_makes_them_last() -> None:
    access = FakeAccess()
    Isolation(access, "old", "isolated").apply()
    commands = access.remote("old").commands
    order = [f"write {PATH}", f"nft --check --file {PATH}", f"nft --file {PATH}", f"write {UNIT_PATH}"]
    assert [line for line in commands if line in order] == order


def test_rules_that_nft_refuses_are_not_loaded() -> None:
    access = FakeAccess()
    from bascule.hosts.ssh import CommandFailed, Finished

    access.remote("old").answers["nft --check"] = Finished(1, "", "Error: syntax error", 0)
    with pytest.raises(CommandFailed, match="syntax error"):
        Isolation(access, "old", "isolated").apply()
    assert not access.remote("old").did("nft --file")


def test_a_refusal_proves_nothing_while_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    access = FakeAccess()
    change = Isolation(access, "old", "isolated")
    monkeypatch.setattr(Isolation, "observe", lambda self: self.desired)
    warned: list[str] = []
    monkeypatch.setattr(firewall.log, "warning", lambda text, **_: warned.append(text))
    change.verify()
    assert "a refusal proves nothing" in warned[0]
    assert access.remote("client").commands == []


def test_a_port_that_another_host_can_still_reach_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    access = FakeAccess()
    access.remote("old").answers["ss -H"] = "LISTEN 0 100 0.0.0.0:993 0.0.0.0:* users\n"
    monkeypatch.setattr(Isolation, "observe", lambda self: self.desired)
    monkeypatch.setattr(probes, "connect_from_here", lambda address, port: probes.Answer("open"))
    with pytest.raises(ChangeFailed, match="port 993 can still be reached from client"):
        Isolation(access, "old", "isolated").verify()

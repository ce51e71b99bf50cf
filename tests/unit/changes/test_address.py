"""Service addresses over two hosts in memory: order of the steps, strangers, and who answers at the end."""

import json
from collections.abc import Sequence

import pytest
from bascule.changes import address, probes
from bascule.changes.address import ServiceAddress
from bascule.changes.base import ChangeFailed
from bascule.hosts.ssh import Finished

from tests.unit.changes.fakes import FakeAccess, FakeHost

POP = "198.51.100.32"
MACS = {"old": "aa:aa:aa:aa:aa:aa", "new": "bb:bb:bb:bb:bb:bb", "stranger": "cc:cc:cc:cc:cc:cc"}
OLD_FILE = "/etc/network/interfaces.d/service-pop"
NEW_FILE = "/etc/network/interfaces.d/bascule-pop"


class Network:
    """Who holds the pop address; `ip`, `arping` and `grep` of old and new speak of it."""

    def __init__(self, access: FakeAccess, *holders: str) -> None:
        self.access = access
        self.holders = set(holders)
        for name in ("old", "new"):
            host = access.remote(name)
            host.answers |= {
                "ip -j -4 address show": lambda _, name=name: self._links(name),
                "ip -j -4 route": "[]",
                "printenv SSH_CONNECTION": f"203.0.113.1 1 {name} 22",
                "ip -j address show": lambda _, name=name: self._links(name),
                "ip address": lambda command, name=name: self._address(command, name),
                "arping -D": lambda _, name=name: self._duplicates(name),
                "grep -rlsF": lambda _, host=host: "".join(f"{path}\n" for path in self._naming(host)),
                "grep -rhsE": "auto host0\nsource-directory /etc/network/interfaces.d\n",
                "grep -rsE": "/etc/network/interfaces:iface host0 inet static\n",
            }
        access.remote("old").files[OLD_FILE] = f"iface host0 inet static\n    address {POP}/32\n".encode()

    def _links(self, name: str) -> str:
        held = [{"local": POP, "prefixlen": 32}] if name in self.holders else []
        return json.dumps([{"ifname": "host0", "address": MACS[name], "addr_info": held}])

    def _address(self, command: Sequence[str], name: str) -> str:
        (self.holders.add if command[2] == "replace" else self.holders.discard)(name)
        return ""

    def _duplicates(self, name: str) -> Finished:
        others = sorted(self.holders - {name})
        said = "".join(f"Unicast reply from {POP} [{MACS[other].upper()}]  0.7ms\n" for other in others)
        return Finished(1 if others else 0, said, "", 0)

    def _naming(self, host: FakeHost) -> list[str]:
        return [path for path, data in host.files.items() if POP in data.decode()]


@pytest.fixture
def access() -> FakeAccess:
    return FakeAccess()


def certificate(access: FakeAccess, monkeypatch: pytest.MonkeyPatch, seen: str, own: str = "new's") -> None:
    """What the client and the new owner see when they connect."""
    answers = {"client": probes.Answer("open", seen), "new": probes.Answer("open", own)}
    monkeypatch.setattr(probes, "connect_from", lambda remote, *_, **__: answers[remote.name])
    monkeypatch.setattr(address, "ANSWER_SECONDS", 0)


def test_the_address_leaves_the_old_owner_before_the_new_one_has_it(access: FakeAccess) -> None:
    network = Network(access, "old")
    ServiceAddress(access, "pop").apply()
    assert network.holders == {"new"}
    assert access.remote("old").did(f"ip address del {POP}/32 dev host0")
    assert OLD_FILE not in access.remote("old").files
    assert POP in access.remote("new").files[NEW_FILE].decode()
    assert access.remote("new").commands[-1].startswith("arping -U")


def test_a_stranger_who_answers_stops_it_before_anything_is_touched(access: FakeAccess) -> None:
    network = Network(access, "stranger")
    with pytest.raises(ChangeFailed, match=f"is still answered by {MACS['stranger']}"):
        ServiceAddress(access, "pop").apply()
    assert network.holders == {"stranger"}
    assert OLD_FILE in access.remote("old").files
    assert NEW_FILE not in access.remote("new").files


def test_an_arping_that_can_not_look_is_no_free_address(access: FakeAccess) -> None:
    Network(access, "old")
    access.remote("new").answers["arping -D"] = Finished(2, "", "arping: Interface host0 is down", 0)
    with pytest.raises(ChangeFailed, match="can't look for duplicates: arping: Interface host0 is down"):
        ServiceAddress(access, "pop").apply()


def test_a_network_configuration_that_we_do_not_write_is_refused_before_anything_is_touched(access: FakeAccess) -> None:
    network = Network(access, "old")
    access.remote("new").answers["grep -rhsE"] = ""
    with pytest.raises(ChangeFailed, match="is not brought up by ifupdown"):
        ServiceAddress(access, "pop").apply()
    assert network.holders == {"old"}


def test_the_new_owners_own_configuration_will_do(access: FakeAccess) -> None:
    Network(access, "old")
    host = access.remote("new")
    host.answers["grep -rhsE"] = ""
    host.files["/etc/netplan/60-pop.yaml"] = f"addresses: [{POP}/32]\n".encode()
    ServiceAddress(access, "pop").apply()
    change = ServiceAddress(access, "pop")
    assert change.is_desired(change.observe())
    assert NEW_FILE not in host.files


def test_putting_it_back_restores_the_old_owners_files_and_removes_ours(access: FakeAccess) -> None:
    network = Network(access, "old")
    before = ServiceAddress(access, "pop").observe()
    files = dict(access.remote("old").files)
    ServiceAddress(access, "pop").apply()
    ServiceAddress(access, "pop").revert(before)
    assert network.holders == {"old"}
    assert access.remote("old").files == files
    assert access.remote("new").files == {}


def test_another_certificate_than_the_new_owners_is_an_error(
    access: FakeAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    Network(access, "old")
    ServiceAddress(access, "pop").apply()
    certificate(access, monkeypatch, seen="old's")
    with pytest.raises(ChangeFailed, match="another machine than new answers"):
        ServiceAddress(access, "pop").verify()


def test_the_same_certificate_from_another_hardware_address_is_an_error(
    access: FakeAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    Network(access, "old")
    ServiceAddress(access, "pop").apply()
    certificate(access, monkeypatch, seen="new's")
    access.remote("client").answers["ip -4 neighbour"] = f"{POP} dev eth0 lladdr {MACS['old']} REACHABLE\n"
    with pytest.raises(ChangeFailed, match="the neighbour table does not name new's hardware address"):
        ServiceAddress(access, "pop").verify()


@pytest.mark.parametrize("table", ["", f"{POP} dev eth0 lladdr {MACS['new']} REACHABLE\n", f"{POP} dev eth0 FAILED\n"])
def test_the_new_owner_with_its_certificate_is_verified(
    access: FakeAccess, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    Network(access, "old")
    ServiceAddress(access, "pop").apply()
    certificate(access, monkeypatch, seen="new's")
    access.remote("client").answers["ip -4 neighbour"] = table
    ServiceAddress(access, "pop").verify()


def test_an_ipv6_service_address_is_refused_in_words(access: FakeAccess) -> None:
    part = access.site.service_addresses.pop.model_copy(update={"address": "2001:db8::32/128"})
    addresses = access.site.service_addresses.model_copy(update={"pop": part})
    with pytest.raises(ChangeFailed, match="only IPv4"):
        ServiceAddress(FakeAccess(access.site.model_copy(update={"service_addresses": addresses})), "pop")

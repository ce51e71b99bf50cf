"""How the lab names what it makes, so that sites never collide."""

from pathlib import Path

import pytest

from lab.facts import ALIASES, HOSTS, REVERSE_NAMES, SERVICE_ADDRESSES
from lab.paths import Instance


def test_two_instances_of_one_checkout_have_nothing_in_common() -> None:
    one, other = Instance("main", Path("/a")), Instance("test", Path("/a"))
    assert one.tag != other.tag
    assert one.state != other.state


def test_one_name_in_two_clones_means_two_instances() -> None:
    one, other = Instance("main", Path("/a")), Instance("main", Path("/b"))
    assert {one.namespace, one.cgroup, str(one.runtime)}.isdisjoint({other.namespace, other.cgroup, str(other.runtime)})


def test_sockets_fit_into_a_socket_address_however_deep_the_checkout_lies() -> None:
    deep = Instance("a" * 31, Path("/" + "deep/" * 60))
    assert len(str(deep.power_switch / "switch.sock")) < 108


@pytest.mark.parametrize("name", ["", "Main", "-x", "a b", "../x", "a" * 32])
def test_name_that_could_do_harm_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="instance name"):
        Instance(name)


def test_addresses_are_given_once() -> None:
    addresses = [*(host.address for host in HOSTS.values()), *SERVICE_ADDRESSES.values()]
    assert len(addresses) == len(set(addresses))


def test_every_address_that_has_a_name_has_a_reverse_name() -> None:
    named = {host.address for host in HOSTS.values()} | set(ALIASES.values())
    assert named <= set(REVERSE_NAMES.values())

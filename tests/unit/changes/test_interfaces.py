"""The configuration of interfaces(5): finding an address in it, and taking it out."""

import json

import pytest
from bascule.changes import interfaces
from bascule.changes.base import ChangeFailed

from tests.unit.changes.fakes import FakeHost

POP = "198.51.100.32"
MAIN = """\
auto lo
iface lo inet loopback

auto eth0
iface eth0 inet static
    address 198.51.100.11/24
    gateway 198.51.100.1
"""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f"    address {POP}/24\n", True),
        (f"address={POP}\n", True),
        (f"up ip addr add {POP} dev eth0", True),
        (f"    address {POP}0/24\n", False),
        (f"    address {POP}.5\n", False),
        (f"    address 1{POP}\n", False),
        (f"# address {POP}\n", False),
        ("", False),
    ],
)
def test_an_address_is_found_as_a_whole_and_outside_of_comments(text: str, named: bool) -> None:
    assert interfaces.names_address(text, POP) is named


def test_a_file_of_its_own_is_emptied() -> None:
    text = f"# Service address of pop\niface eth0 inet static\n    address {POP}/32\n"
    assert interfaces.without_address(text, POP, ["eth0"]) == ""


def test_a_second_stanza_of_an_interface_is_taken_out_and_the_first_stays() -> None:
    text = f"{MAIN}\niface eth0 inet static\n    address {POP}/32\n"
    assert interfaces.without_address(text, POP).rstrip() == MAIN.rstrip()


def test_an_alias_interface_is_not_raised_any_more() -> None:
    text = f"{MAIN}\nauto eth0:1\niface eth0:1 inet static\n    address {POP}\n    netmask 255.255.255.0\n"
    assert interfaces.without_address(text, POP).rstrip() == MAIN.rstrip()


def test_commands_that_add_the_address_are_taken_out_and_other_lines_stay() -> None:
    text = f"{MAIN}    up ip addr add {POP}/24 dev eth0\n    down ip addr del {POP}/24 dev eth0\n    mtu 1500\n"
    assert interfaces.without_address(text, POP) == f"{MAIN}    mtu 1500\n"


def test_an_interface_that_another_file_defines_is_still_raised() -> None:
    text = f"auto eth0\niface eth0 inet static\n    address {POP}/32\n"
    assert interfaces.without_address(text, POP, ["eth0"]) == "auto eth0\n"
    assert interfaces.without_address(text, POP) == ""


def test_a_file_without_the_address_stays_as_it_is() -> None:
    assert interfaces.without_address(MAIN, POP) == MAIN


def test_other_comments_stay() -> None:
    text = f"{MAIN}# the old pop server\niface eth0 inet static\n    address {POP}/32\n# the end\n"
    assert interfaces.without_address(text, POP) == f"{MAIN}# the old pop server\n# the end\n"


def test_an_address_in_a_configuration_that_we_can_not_edit_is_an_error_and_nothing_is_touched() -> None:
    host = FakeHost()
    host.files["/etc/netplan/50-mail.yaml"] = f"addresses: [{POP}/24]\n".encode()
    host.answers["grep -rlsF"] = "/etc/netplan/50-mail.yaml\n"
    with pytest.raises(ChangeFailed, match=r"stands in /etc/netplan/50-mail\.yaml on old"):
        interfaces.forget(host, POP)
    assert not host.did("write") and not host.did("remove")


def test_the_holding_interface_is_found() -> None:
    host = FakeHost()
    links = [
        {"ifname": "lo", "address": "00:00:00:00:00:00", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}]},
        {"ifname": "eth0", "address": "fa:90:ba:4f:ee:b0", "addr_info": [{"local": POP, "prefixlen": 32}]},
    ]
    host.answers["ip -j address show"] = json.dumps(links)
    assert interfaces.holding(host, POP) == interfaces.Holding("eth0", 32, "fa:90:ba:4f:ee:b0")
    assert interfaces.holding(host, "198.51.100.3") is None

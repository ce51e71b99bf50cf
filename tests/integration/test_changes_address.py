"""Service addresses on real hosts: taken over, held by somebody else, kept over a reboot."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from bascule.changes.address import ServiceAddress
from bascule.changes.base import ChangeFailed, Outcome
from bascule.changes.interfaces import holding, removal_obstacle
from bascule.changes.probes import connect_from, wait_for
from bascule.changes.virtual_machine import VirtualMachineState
from bascule.checks.preflight import address
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError

from lab.facts import HOSTS
from tests.integration.changing import Changing, changing
from tests.integration.conftest import Lab

__all__ = ["changing"]
POP, IMAP = "198.51.100.32", "198.51.100.31"
PROMOTE = "/proc/sys/net/ipv4/conf/host0/promote_secondaries"
OLD_FILE = "/etc/network/interfaces.d/service-pop"


def pop(access: Access) -> ServiceAddress:
    return ServiceAddress(access, "pop")


def imap(access: Access) -> ServiceAddress:
    return ServiceAddress(access, "imap")


@pytest.fixture(scope="module", autouse=True)
def the_addresses_are_home_at_the_end(lab: Lab) -> Iterator[None]:
    configuration = lab.ssh("old", "cat", OLD_FILE)
    yield
    lab.ssh("new", f"ip address del {POP}/32 dev host0; ip address del {IMAP}/32 dev host0; true")
    lab.ssh("new", "rm -f /etc/network/interfaces.d/bascule-*")
    lab.write("old", OLD_FILE, configuration)
    lab.ssh("old", f"ip address replace {POP}/32 dev host0; arping -U -c 2 -w 2 -I host0 {POP}")
    lab.power("proxy", "on")


def without_an_old_owner(lab: Lab) -> Access:
    """The site file of somebody who believes that nobody holds the pop address any more."""
    part = lab.site.service_addresses.pop.model_copy(update={"old_owner": None})
    addresses = lab.site.service_addresses.model_copy(update={"pop": part})
    return lab.access(lab.site.model_copy(update={"service_addresses": addresses}))


def test_the_pop_address_moves_and_is_put_back(access: Access, changing: Changing, lab: Lab) -> None:
    before, after = changing.round_trip(lambda: pop(access))
    assert (list(before["held_by"]), list(after["held_by"])) == (["old"], ["new"])
    assert connect_from(access.remote("client"), POP, 995).is_open


def test_the_new_server_answers_with_its_certificate_as_the_client_sees_it(access: Access, changing: Changing) -> None:
    client = access.remote("client")
    before = connect_from(client, POP, 995, tls_name="pop.obs.test").certificate
    changing.run(lambda: pop(access))
    after = connect_from(client, POP, 995, tls_name="pop.obs.test").certificate
    own = connect_from(access.remote("new"), "new.obs.test", 995, tls_name="pop.obs.test").certificate
    assert after == own
    assert before != after
    changing.put_back(lambda: pop(access))
    assert connect_from(client, POP, 995, tls_name="pop.obs.test").certificate == before


def test_the_old_owner_does_not_bring_it_back_at_its_next_boot(lab: Lab, changing: Changing) -> None:
    access = lab.access()
    changing.run(lambda: pop(access))
    lab.power("old", "off")
    lab.power("old", "on")
    assert holding(access.remote("old"), POP) is None
    assert changing.run(lambda: pop(access)).outcome == Outcome.UNCHANGED
    changing.put_back(lambda: pop(access))
    access.close()


def test_the_new_owner_has_it_again_after_a_reboot(lab: Lab, changing: Changing) -> None:
    access = lab.access()
    changing.run(lambda: pop(access))
    lab.power("new", "off")
    lab.power("new", "on")
    assert changing.run(lambda: pop(access)).outcome == Outcome.UNCHANGED
    changing.put_back(lambda: pop(access))
    access.close()


def test_an_address_still_answered_by_the_old_owner_is_refused_and_nothing_is_added(
    lab: Lab, changing: Changing
) -> None:
    access = without_an_old_owner(lab)
    mac = json.loads(lab.ssh("old", "ip -j link show host0"))[0]["address"]
    with pytest.raises(ChangeFailed, match=f"is still answered by {mac}(?s:.*)nothing was added"):
        changing.run(lambda: pop(access))
    assert holding(access.remote("new"), POP) is None
    assert "bascule" not in lab.ssh("new", "ls", "/etc/network/interfaces.d")
    access.close()


def test_a_stranger_who_answers_is_found_before_the_old_owner_loses_it(
    lab: Lab, access: Access, changing: Changing
) -> None:
    lab.ssh("old", f"ip address del {POP}/32 dev host0")
    lab.ssh("web", f"ip address add {POP}/32 dev host0")
    try:
        with pytest.raises(ChangeFailed, match="is still answered by"):
            changing.run(lambda: pop(access))
        assert POP in lab.ssh("old", "cat", OLD_FILE)
        assert holding(access.remote("new"), POP) is None
    finally:
        lab.ssh("web", f"ip address del {POP}/32 dev host0")
        lab.ssh("old", f"ip address add {POP}/32 dev host0; arping -U -c 2 -w 2 -I host0 {POP}")


def test_the_imap_address_can_be_taken_only_when_the_virtual_machine_is_off(
    access: Access, changing: Changing, lab: Lab
) -> None:
    assert wait_for(lambda: connect_from(access.remote("client"), IMAP, 993).is_open, 60)
    with pytest.raises(ChangeFailed, match="is still answered by"):
        changing.run(lambda: imap(access))
    off = lambda: VirtualMachineState(access, "shut off")  # noqa: E731
    changing.run(off)
    result = changing.run(lambda: imap(access))
    assert (result.outcome, result.before["held_by"]) == (Outcome.DONE, {})
    assert connect_from(access.remote("client"), IMAP, 993).is_open
    changing.put_back(lambda: imap(access))
    changing.put_back(off)
    lab.ssh("client", "ip", "neighbour", "flush", "dev", "host0")  # else it asks the new server for half a minute
    assert wait_for(lambda: connect_from(access.remote("client"), IMAP, 993).is_open, 60)


@contextmanager
def pop_comes_first(lab: Lab, more: str = "") -> Iterator[None]:
    """The pop address as the primary one of old's interface, and old's own as its secondary, until old boots again."""
    own = HOSTS["old"].address
    lab.ssh(
        "old",
        f"echo 1 > {PROMOTE}; ip address del {POP}/32 dev host0; ip address add {POP}/24 dev host0; "
        f"ip address del {own}/24 dev host0; ip address add {own}/24 dev host0; echo 0 > {PROMOTE}; {more}",
    )
    try:
        yield
    finally:
        lab.power("old", "off")
        lab.power("old", "on")


def reachable(lab: Lab) -> bool:
    return "old" in lab.ssh("old", "hostname")


def test_a_primary_address_is_not_taken_away_with_its_secondaries(lab: Lab, changing: Changing) -> None:
    access = lab.access()
    with pop_comes_first(lab):
        [told] = [finding for finding in address.removable(access) if finding.level == "failure"]
        with pytest.raises(ChangeFailed, match=r"takes 198\.51\.100\.11 along(?s:.*)promote_secondaries") as failed:
            changing.run(lambda: pop(access))
        assert reachable(lab)
        assert told.sentence in str(failed.value)
        assert changing.events() == ["intent", "failed"]
        assert list(pop(access).observe()["held_by"]) == ["old"]
        assert POP in lab.ssh("old", "cat", OLD_FILE)
        lab.ssh("old", f"echo 1 > {PROMOTE}")
        assert [finding.level for finding in address.removable(access)] == ["ok", "ok"]
        assert changing.run(lambda: pop(access)).outcome == Outcome.DONE
        assert reachable(lab)
        changing.put_back(lambda: pop(access))
        assert list(pop(access).observe()["held_by"]) == ["old"]
        assert reachable(lab)
    access.close()


@pytest.mark.parametrize(
    ("route", "words"),
    [
        (f"ip route add 192.0.2.0/24 via 198.51.100.1 src {POP}", "192.0.2.0/24"),
        ("ip address add 203.0.113.7/24 dev host0; ip route add default via 203.0.113.1", "default"),
    ],
)
def test_an_address_that_routes_hang_on_is_not_taken_away(lab: Lab, access: Access, route: str, words: str) -> None:
    lab.ssh("old", route)
    held = POP if POP in route else "203.0.113.7"
    try:
        assert f"the route to {words}" in removal_obstacle(access.remote("old"), held)
    finally:
        lab.ssh("old", "ip route del 192.0.2.0/24; ip route del default; ip address del 203.0.113.7/24 dev host0; true")
    assert removal_obstacle(access.remote("old"), POP) == ""


def test_an_address_by_which_the_host_is_reached_is_not_taken_away(access: Access) -> None:
    own = HOSTS["old"].address
    assert f"reaches old by {own} itself" in removal_obstacle(access.remote("old"), own)


def test_a_new_owner_on_which_the_service_does_not_run_is_said(access: Access, changing: Changing, lab: Lab) -> None:
    lab.ssh("new", "systemctl", "stop", "dovecot")
    try:
        with pytest.raises(ChangeFailed, match="new itself does not speak TLS"):
            changing.run(lambda: pop(access))
    finally:
        lab.ssh("new", "systemctl", "start", "dovecot")
    assert changing.run(lambda: pop(access)).outcome == Outcome.DONE
    assert changing.events() == ["intent", "failed", "done"]
    changing.put_back(lambda: pop(access))
    assert list(pop(access).observe()["held_by"]) == ["old"]


def test_an_old_owner_that_is_down_is_said_and_nothing_is_added(lab: Lab, changing: Changing) -> None:
    access = lab.access()
    lab.power("old", "off")
    try:
        with pytest.raises(AccessError, match=r"old\.obs\.test can't be reached by SSH"):
            changing.run(lambda: pop(access))
        assert holding(access.remote("new"), POP) is None
    finally:
        lab.power("old", "on")
        access.close()

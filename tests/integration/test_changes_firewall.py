"""The isolation of a real host: tried from the hosts that must be refused and from here."""

from collections.abc import Iterator

import pytest
from bascule.changes.base import ChangeFailed, Outcome
from bascule.changes.firewall import Isolation
from bascule.changes.probes import connect_from, connect_from_here, wait_for
from bascule.hosts.access import Access

from tests.integration.changing import Changing, changing
from tests.integration.conftest import Lab

__all__ = ["changing"]


def isolate(access: Access) -> Isolation:
    return Isolation(access, "old", "isolated")


def lift(access: Access) -> Isolation:
    return Isolation(access, "old", "open")


@pytest.fixture(autouse=True)
def the_ports_are_open_at_the_end(access: Access) -> Iterator[None]:
    yield
    lift(access).apply()


def refused(access: Access, place: str, port: int = 993) -> bool:
    return not connect_from(access.remote(place), "old.obs.test", port).is_open


def test_old_is_isolated_and_put_back(access: Access, changing: Changing) -> None:
    changing.round_trip(lambda: isolate(access))
    assert not refused(access, "client")


def test_other_hosts_are_refused_and_we_are_not(access: Access, changing: Changing) -> None:
    changing.run(lambda: isolate(access))
    assert [place for place in ("client", "mx", "hv") if not refused(access, place)] == []
    assert connect_from_here("old.obs.test", 993).is_open
    assert not refused(access, "client", port=25), "mail reception stays open"
    changing.put_back(lambda: isolate(access))


def test_the_isolation_survives_a_reload_of_the_hosts_own_firewall(
    access: Access, changing: Changing, lab: Lab
) -> None:
    changing.run(lambda: isolate(access))
    lab.ssh("old", "systemctl", "reload", "nftables")
    assert wait_for(lambda: refused(access, "client"), 60)
    lab.ssh("old", "systemctl", "restart", "nftables")
    assert wait_for(lambda: refused(access, "client"), 60)
    assert changing.run(lambda: isolate(access)).outcome == Outcome.UNCHANGED
    changing.put_back(lambda: isolate(access))


def test_the_isolation_survives_a_reboot(lab: Lab, changing: Changing) -> None:
    access = lab.access()
    changing.run(lambda: isolate(access))
    lab.power("old", "off")
    lab.power("old", "on")
    assert refused(access, "client")
    assert changing.run(lambda: isolate(access)).outcome == Outcome.UNCHANGED
    changing.put_back(lambda: isolate(access))
    access.close()


def test_rules_that_somebody_flushed_are_loaded_again(access: Access, changing: Changing, lab: Lab) -> None:
    changing.run(lambda: isolate(access))
    lab.ssh("old", "nft", "flush", "ruleset")
    assert not refused(access, "client")
    assert changing.run(lambda: isolate(access)).outcome == Outcome.DONE
    assert refused(access, "client")
    lift(access).apply()
    lab.ssh("old", "systemctl", "reload", "nftables")


def test_lifting_it_opens_the_ports_and_can_be_put_back_too(access: Access, changing: Changing) -> None:
    changing.run(lambda: isolate(access))
    changing.run(lambda: lift(access))
    assert not refused(access, "client")
    assert changing.run(lambda: lift(access)).outcome == Outcome.UNCHANGED
    changing.put_back(lambda: lift(access))
    assert refused(access, "client")
    changing.put_back(lambda: isolate(access))
    assert not refused(access, "client")


def test_a_host_that_gets_through_although_it_must_not_is_named(lab: Lab, changing: Changing) -> None:
    part = lab.site.isolation.old.model_copy(update={"allow": ["198.51.100.1/32", "198.51.100.19/32"]})
    isolation = lab.site.isolation.model_copy(update={"old": part})
    access = lab.access(lab.site.model_copy(update={"isolation": isolation}))
    with pytest.raises(ChangeFailed, match="can still be reached from client"):
        changing.run(lambda: isolate(access))
    assert changing.events() == ["intent", "failed"]
    changing.put_back(lambda: isolate(access))
    assert not refused(access, "mx")
    access.close()


def test_our_own_place_missing_in_the_list_is_an_error(lab: Lab, changing: Changing) -> None:
    part = lab.site.isolation.old.model_copy(update={"allow": ["198.51.100.12/32"]})
    isolation = lab.site.isolation.model_copy(update={"old": part})
    access = lab.access(lab.site.model_copy(update={"isolation": isolation}))
    with pytest.raises(ChangeFailed, match="must contain the address that Bascule comes from"):
        changing.run(lambda: isolate(access))
    changing.put_back(lambda: isolate(access))
    assert connect_from_here("old.obs.test", 993).is_open
    access.close()

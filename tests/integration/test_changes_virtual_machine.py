"""The virtual machine behind its hypervisor: shut off, started, and one that takes its time."""

from collections.abc import Iterator

import pytest
from bascule.changes import virtual_machine
from bascule.changes.base import ChangeFailed, Outcome
from bascule.changes.probes import connect_from_here, wait_for
from bascule.changes.virtual_machine import VirtualMachineState
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError

from tests.integration.changing import Changing, changing
from tests.integration.conftest import Lab

__all__ = ["changing"]


@pytest.fixture(scope="module", autouse=True)
def the_proxy_runs_at_the_end(lab: Lab) -> Iterator[None]:
    yield
    lab.power("proxy", "on")


def test_the_proxy_is_shut_off_and_put_back(access: Access, changing: Changing) -> None:
    changing.round_trip(lambda: VirtualMachineState(access, "shut off"))
    assert wait_for(lambda: connect_from_here("imap.obs.test", 993).is_open, 60)


def test_nobody_answers_at_the_service_address_of_a_machine_that_is_shut_off(
    access: Access, changing: Changing
) -> None:
    make = lambda: VirtualMachineState(access, "shut off")  # noqa: E731
    changing.run(make)
    assert not connect_from_here("imap.obs.test", 993).is_open
    changing.put_back(make)


def test_a_machine_that_does_not_shut_down_in_time_is_an_error_and_the_next_try_goes_on(
    access: Access, changing: Changing, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = lambda: VirtualMachineState(access, "shut off")  # noqa: E731
    monkeypatch.setattr(virtual_machine, "SHUTDOWN_SECONDS", 0)
    with pytest.raises(ChangeFailed, match="switch it off by hand"):
        changing.run(make)
    monkeypatch.undo()
    result = changing.run(make)
    assert (result.outcome, result.before) == (Outcome.DONE, {"state": "running"})
    changing.put_back(make)
    assert make().observe() == {"state": "running"}


def test_a_machine_that_the_hypervisor_does_not_know_is_named(lab: Lab) -> None:
    part = lab.site.virtual_machine.model_copy(update={"name": "imap-relay"})
    access = lab.access(lab.site.model_copy(update={"virtual_machine": part}))
    with pytest.raises(AccessError, match="imap-relay"):
        VirtualMachineState(access, "shut off").observe()
    access.close()

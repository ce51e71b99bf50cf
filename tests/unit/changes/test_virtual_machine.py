"""The virtual machine over a hypervisor in memory."""

import contextlib
from collections.abc import Sequence

import pytest
from bascule.changes import probes, virtual_machine
from bascule.changes.base import ChangeFailed
from bascule.changes.virtual_machine import VirtualMachineState
from bascule.hosts.connections import AccessError

from tests.unit.changes.fakes import FakeAccess


class FakeVirsh:
    """`steps` are the looks that a machine needs to shut down."""

    def __init__(self, access: FakeAccess, state: str = "running", steps: int = 1) -> None:
        self.state, self.steps, self.verbs = state, steps, list[str]()
        access.remote("hv").answers["env LC_ALL=C virsh"] = self._virsh

    def _virsh(self, command: Sequence[str]) -> str:
        verb = command[command.index("--connect") + 2]
        if verb == "domstate":
            if self.state == "in shutdown":
                self.steps -= 1
                self.state = "in shutdown" if self.steps > 0 else "shut off"
            return f"{self.state}\n\n"
        self.verbs.append(verb)
        self.state = "in shutdown" if verb == "shutdown" else "running"
        return ""


@pytest.fixture
def access(monkeypatch: pytest.MonkeyPatch) -> FakeAccess:
    monkeypatch.setattr(probes.time, "sleep", lambda seconds: None)
    return FakeAccess()


def test_the_shutdown_is_waited_for(access: FakeAccess) -> None:
    machine = FakeVirsh(access, steps=5)
    VirtualMachineState(access, "shut off").apply()
    assert (machine.state, machine.verbs) == ("shut off", ["shutdown"])


def test_a_shutdown_that_somebody_began_is_not_asked_for_twice(access: FakeAccess) -> None:
    machine = FakeVirsh(access, "in shutdown", steps=5)
    VirtualMachineState(access, "shut off").apply()
    assert (machine.state, machine.verbs) == ("shut off", [])


@pytest.mark.parametrize("then", ["shut off", "running"])
def test_a_request_is_refused_for_good_only_while_the_machine_still_runs(
    access: FakeAccess, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    machine = FakeVirsh(access)

    def refuse(virsh: virtual_machine.Virsh) -> None:
        machine.state = then  # an earlier request has ended it between the look and this one
        raise AccessError("hv: domain is not running")

    monkeypatch.setattr(virtual_machine.Virsh, "shut_down", refuse)
    with contextlib.nullcontext() if then == "shut off" else pytest.raises(AccessError, match="not running"):
        VirtualMachineState(access, "shut off").apply()


def test_a_machine_that_does_not_shut_down_is_never_destroyed(
    access: FakeAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtual_machine, "SHUTDOWN_SECONDS", 0)
    machine = FakeVirsh(access, steps=1_000_000)
    with pytest.raises(ChangeFailed, match="still in shutdown 0 s after"):
        VirtualMachineState(access, "shut off").apply()
    assert machine.verbs == ["shutdown"]


def test_a_machine_that_is_shutting_down_is_started_when_it_is_off(access: FakeAccess) -> None:
    machine = FakeVirsh(access, "in shutdown", steps=3)
    VirtualMachineState(access, "shut off").revert({"state": "running"})
    assert (machine.state, machine.verbs) == ("running", ["start"])


@pytest.mark.parametrize("state", ["paused", "crashed", "pmsuspended"])
def test_a_machine_in_another_state_is_left_to_a_person(access: FakeAccess, state: str) -> None:
    machine = FakeVirsh(access, state)
    with pytest.raises(ChangeFailed, match=f"is '{state}': resume or repair it by hand"):
        VirtualMachineState(access, "shut off").apply()
    assert machine.verbs == []

"""The virtual machine that proxies IMAP before the day: running or shut off, by its hypervisor's own command."""

from typing import Any, Literal, Protocol

from bascule.changes import probes
from bascule.changes.base import Change, ChangeFailed, State
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.hosts.ssh import RemoteHost
from bascule.site import VirtualMachinePart

SHUTDOWN_SECONDS = 300  # the machine's own services stop in peace
START_SECONDS = 60

MachineState = Literal["running", "shut off"]


class Hypervisor(Protocol):
    """A kind of hypervisor. States are `running`, `shut off`, or another word of its own (`paused`)."""

    def __init__(self, remote: RemoteHost, part: VirtualMachinePart) -> None: ...

    def state(self) -> str:
        """The machine's state now. Raises AccessError when there is no such machine."""
        ...

    def shut_down(self) -> None:
        """Ask the machine to shut itself down; returns at once."""
        ...

    def start(self) -> None: ...


class Virsh:
    """libvirt, whatever runs the machine (KVM, LXC, ...)."""

    def __init__(self, remote: RemoteHost, part: VirtualMachinePart) -> None:
        self.remote = remote
        self.part = part

    def state(self) -> str:
        return self._run("domstate").strip()

    def shut_down(self) -> None:
        self._run("shutdown")

    def start(self) -> None:
        self._run("start")

    def _run(self, verb: str) -> str:
        command = ["env", "LC_ALL=C", "virsh", "--connect", self.part.uri, verb, "--domain", self.part.name]
        return self.remote.run(command).output


HYPERVISORS: dict[str, type[Hypervisor]] = {"virsh": Virsh}


class VirtualMachineState(Change):
    """The virtual machine running or shut off. State: {"state": what the hypervisor says}."""

    kind = "virtual_machine"

    def __init__(self, access: Access, state: MachineState) -> None:
        super().__init__(access)
        self.state = state
        self.part = access.site.virtual_machine
        self.hypervisor = HYPERVISORS[self.part.kind](access.remote(self.part.hypervisor), self.part)

    @property
    def subject(self) -> str:
        return f"{self.part.hypervisor}: {self.part.name}"

    @property
    def parameters(self) -> dict[str, Any]:
        return {"state": self.state}

    @property
    def desired(self) -> State:
        return {"state": self.state}

    def observe(self) -> State:
        return {"state": self.hypervisor.state()}

    def apply(self) -> None:
        self._bring_to(self.state)

    def verify(self) -> None:
        found = self.hypervisor.state()
        if found != self.state:
            raise ChangeFailed(f"{self.subject}: shall be {self.state}, but the hypervisor says {found!r}")

    def revert(self, before: State) -> None:
        if before["state"] not in ("running", "shut off"):
            raise ChangeFailed(f"{self.subject}: was {before['state']!r} before, which only a person can restore")
        if self.hypervisor.state() != before["state"]:
            self._bring_to(before["state"])

    def _bring_to(self, state: str) -> None:
        found = self.hypervisor.state()
        if found not in ("running", "shut off", "in shutdown"):
            raise ChangeFailed(f"{self.subject}: is {found!r}: resume or repair it by hand, then run this task again")
        if state == "running":
            self._start()
        else:
            self._shut_down()

    def _start(self) -> None:
        if self.hypervisor.state() == "in shutdown" and not self._reaches("shut off", SHUTDOWN_SECONDS):
            raise ChangeFailed(f"{self.subject}: has not ended its shutdown after {SHUTDOWN_SECONDS} s")
        if self.hypervisor.state() != "running":
            self.hypervisor.start()
        if not self._reaches("running", START_SECONDS):
            raise ChangeFailed(f"{self.subject}: does not run {START_SECONDS} s after its start: look at its console")

    def _shut_down(self) -> None:
        if self.hypervisor.state() != "in shutdown":
            self._ask_to_shut_down()
        if not self._reaches("shut off", SHUTDOWN_SECONDS):
            raise ChangeFailed(
                f"{self.subject}: still {self.hypervisor.state()} {SHUTDOWN_SECONDS} s after it was asked to shut "
                "down. Look at its console; if nothing else helps, switch it off by hand (`virsh destroy`), then run "
                "this task again. Bascule doesn't, since what the machine has not written would be lost"
            )

    def _ask_to_shut_down(self) -> None:
        try:
            self.hypervisor.shut_down()
        except AccessError:
            if self.hypervisor.state() != "shut off":  # an earlier request may have ended it in between
                raise

    def _reaches(self, state: str, seconds: float) -> bool:
        return probes.wait_for(lambda: self.hypervisor.state() == state, seconds)

"""Services: the systemd units of one service of the site file running or stopped, and a restart of them."""

from datetime import UTC, datetime
from typing import Any, Literal

from bascule.changes import probes, systemd
from bascule.changes.base import Change, ChangeFailed, Effect, State
from bascule.hosts.access import Access
from bascule.text.logs import get_logger

log = get_logger(__name__)

PORT_SECONDS = 30  # how long a started service may take to open its ports, a stopped one to close them
ServiceName = Literal["imap_old", "imap_new", "reception_new", "backup_old"]
EFFECTS = {
    ("reception_new", "running"): frozenset({Effect.NEW_TAKES_MAIL}),
    ("reception_new", "stopped"): frozenset({Effect.NEW_TAKES_NO_MAIL}),
}


class ServiceState(Change):
    """All units of a service running, or all stopped.

    A service that one of the listed sockets or timers starts on demand need not be active to be `running`.
    State: {"units": {unit: ActiveState}}.
    """

    kind = "service"

    def __init__(self, access: Access, service: ServiceName, state: Literal["running", "stopped"]) -> None:
        super().__init__(access)
        self.service = service
        self.state = state
        self.part = getattr(access.site.services, service)
        self.remote = access.remote(self.part.host)
        self._on_demand: set[str] = set()

    @property
    def subject(self) -> str:
        return f"{self.part.host}: {' '.join(self.part.units)}"

    @property
    def parameters(self) -> dict[str, Any]:
        return {"service": self.service, "state": self.state}

    @property
    def effects(self) -> frozenset[Effect]:
        return EFFECTS.get((self.service, self.state), frozenset())

    @property
    def desired(self) -> State:
        if self.state == "stopped":
            return {"units": dict.fromkeys(self.part.units, "inactive")}
        needed = [unit for unit in self.part.units if unit not in self._on_demand]
        return {"units": dict.fromkeys(needed, "active")}

    def observe(self) -> State:
        # Without waiting: a backup in the middle of its work is `activating` for hours, and may be stopped.
        statuses = systemd.show(self.remote, self.part.units)
        self._on_demand = systemd.on_demand(statuses.values(), self.part.units)
        return {"units": {unit: status.active for unit, status in statuses.items()}}

    def is_desired(self, state: State) -> bool:
        if self.state == "stopped":
            return all(active in systemd.STOPPED for active in state["units"].values())
        return all(state["units"].get(unit) == "active" for unit in self.desired["units"])

    def apply(self) -> None:
        if self.state == "running":
            for unit in self.desired["units"]:
                systemd.start(self.remote, unit)
            return
        self._refuse_other_triggers()
        self._stop(self.part.units)

    def verify(self) -> None:
        systemd.settled(self.remote, list(self.desired["units"]))
        found = self.observe()
        if not self.is_desired(found):
            raise ChangeFailed(f"{self.subject}: shall be {self.state}, but systemd says {found['units']}")
        if self.state == "stopped":
            self._refuse_other_triggers()
        self._verify_ports(open_wanted=self.state == "running")

    def revert(self, before: State) -> None:
        active = {unit for unit, state in before["units"].items() if state == "active"}
        present = systemd.show(self.remote, list(before["units"]))
        on_demand = systemd.on_demand(present.values(), list(active))
        self._stop([unit for unit, status in present.items() if unit not in active and not status.is_stopped])
        for unit, status in present.items():
            if unit in active and not status.is_active and unit not in on_demand:
                systemd.start(self.remote, unit)
        if active == set(before["units"]):
            self._verify_ports(open_wanted=True)
        elif not active:
            self._verify_ports(open_wanted=False)

    def _stop(self, units: list[str]) -> None:
        if units:
            for unit in systemd.triggers_first(systemd.show(self.remote, units)):
                systemd.stop(self.remote, unit)

    def _refuse_other_triggers(self) -> None:
        """A stopped service that a socket or timer may start again at any moment is not stopped."""
        statuses = systemd.show(self.remote, self.part.units)
        others = set().union(*(status.triggered_by for status in statuses.values())) - set(self.part.units)
        if not others:
            return
        active = [unit for unit, status in systemd.show(self.remote, sorted(others)).items() if status.is_active]
        if active:
            raise ChangeFailed(
                f"{self.subject}: {', '.join(active)} would start it again: "
                f"add it to `services.{self.service}.units` in the site file"
            )

    def _verify_ports(self, *, open_wanted: bool) -> None:
        ports, found = self.part.ports, dict[int, str]()

        def as_wanted() -> bool:
            nonlocal found
            found = probes.listening(self.remote, ports)
            return set(found) == (set(ports) if open_wanted else set())

        if not ports or probes.wait_for(as_wanted, PORT_SECONDS):
            return
        if open_wanted:
            closed = ", ".join(str(port) for port in sorted(set(ports) - set(found)))
            raise ChangeFailed(
                f"{self.subject}: runs, but does not listen on {closed} after {PORT_SECONDS} s. Its journal says:\n"
                + systemd.journal_of(self.remote, self.part.units[0])
            )
        listeners = ", ".join(f"{port} by {who}" for port, who in sorted(found.items()))
        raise ChangeFailed(f"{self.subject}: stopped, but {self.part.host} still listens on {listeners}: stop that too")


class ServiceRestart(ServiceState):
    """Every unit of a service started anew after an instant.

    A restart is no state, so it is asked for as "active since after `since`" (ISO 8601 with a time zone; the start of
    the run that wants it): a task that is run again finds it done. Undone, units that were stopped before are stopped.
    State: {"units": {unit: ActiveState}, "started": {unit: ISO instant}, "invocations": {unit: systemd's id}}.
    """

    kind = "restart"

    def __init__(self, access: Access, service: ServiceName, since: str) -> None:
        super().__init__(access, service, "running")
        self.since = datetime.fromisoformat(since)
        if self.since.tzinfo is None:
            raise ValueError(f"since={since!r} has no time zone")

    @property
    def parameters(self) -> dict[str, Any]:
        return {"service": self.service, "since": self.since.isoformat()}

    @property
    def desired(self) -> State:
        return {**super().desired, "started": f"after {self.since.isoformat()}"}

    def observe(self) -> State:
        units = super().observe()
        statuses = systemd.show(self.remote, self.part.units)
        # Ages, not clock times: the host's clock may differ from ours.
        uptime = float(self.remote.run(["cat", "/proc/uptime"]).output.split()[0])
        now = datetime.now(UTC).timestamp()
        started = {
            unit: datetime.fromtimestamp(now - (uptime - status.active_since), UTC).isoformat(timespec="milliseconds")
            for unit, status in statuses.items()
            if status.is_active
        }
        return {**units, "started": started, "invocations": {unit: s.invocation for unit, s in statuses.items()}}

    def is_desired(self, state: State) -> bool:
        return super().is_desired(state) and all(self._is_new(state, unit) for unit in super().desired["units"])

    def apply(self) -> None:
        found = self.observe()
        for unit in super().desired["units"]:
            if not self._is_new(found, unit):
                systemd.restart(self.remote, unit)

    def _is_new(self, state: State, unit: str) -> bool:
        started = state["started"].get(unit)
        return started is not None and datetime.fromisoformat(started) >= self.since

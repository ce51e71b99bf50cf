"""systemd units of a host: what state they are in, and how to bring them to another one."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bascule.changes.base import ChangeFailed
from bascule.hosts.ssh import RemoteHost

JOB_SECONDS = 180  # how long a start or stop may take: systemd's own default for both is 90
IN_BETWEEN = ("activating", "deactivating", "reloading", "refreshing", "maintenance")
STOPPED = ("inactive", "failed")
PROPERTIES = "Id,LoadState,ActiveState,SubState,Job,InvocationID,TriggeredBy,ActiveEnterTimestampMonotonic"


@dataclass(frozen=True)
class UnitStatus:
    """One unit as `systemctl show` describes it."""

    name: str
    active: str  # systemd's ActiveState: active, inactive, failed, activating, ...
    sub: str
    busy: bool  # a job is queued for it
    invocation: str
    triggered_by: frozenset[str]  # sockets, timers and paths that start it
    active_since: float  # seconds after the host's boot

    @property
    def is_active(self) -> bool:
        return self.active == "active"

    @property
    def is_stopped(self) -> bool:
        return self.active in STOPPED

    @property
    def is_settled(self) -> bool:
        return not self.busy and self.active not in IN_BETWEEN


def show(remote: RemoteHost, units: Sequence[str]) -> dict[str, UnitStatus]:
    """The status of each unit, by the names given. Raises ChangeFailed when the host has no such unit."""
    output = remote.run(["systemctl", "show", f"--property={PROPERTIES}", "--", *units]).output
    blocks = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in output.strip().split("\n\n")]
    if len(blocks) != len(units):
        raise ChangeFailed(f"systemd on {remote.name} described {len(blocks)} units instead of {', '.join(units)}")
    found = {unit: _status(unit, block) for unit, block in zip(units, blocks, strict=True)}
    for unit, block in zip(units, blocks, strict=True):
        if block.get("LoadState") == "not-found":
            raise ChangeFailed(f"{remote.name} has no unit {unit}: mend its name in the site file's `services`")
    return found


def settled(remote: RemoteHost, units: Sequence[str], seconds: float = JOB_SECONDS) -> dict[str, UnitStatus]:
    """Their status when none is on its way between two states. Raises ChangeFailed when it takes too long."""
    deadline = time.monotonic() + seconds
    while True:
        found = show(remote, units)
        waiting = [status for status in found.values() if not status.is_settled]
        if not waiting:
            return found
        if time.monotonic() > deadline:
            words = "; ".join(f"{status.name} is {status.active} ({status.sub})" for status in waiting)
            raise ChangeFailed(
                f"on {remote.name}, after {seconds:.0f} s {words}. "
                f"The unit's journal says:\n{journal_of(remote, waiting[0].name)}"
            )
        time.sleep(0.3)


def start(remote: RemoteHost, unit: str) -> None:
    """Start the unit and wait until it is active. Raises ChangeFailed with what the unit's journal says."""
    _job(remote, "start", unit)


def restart(remote: RemoteHost, unit: str) -> None:
    """Restart the unit (or start it) and wait until it is active. Raises ChangeFailed like `start`."""
    _job(remote, "restart", unit)


def stop(remote: RemoteHost, unit: str) -> None:
    """Stop the unit and wait until it is inactive or failed. Raises ChangeFailed like `start`."""
    _job(remote, "stop", unit)


def journal_of(remote: RemoteHost, unit: str, lines: int = 15) -> str:
    """The last lines of the unit's journal, for a person who must find out why it failed."""
    command = ["journalctl", "--no-pager", "--quiet", f"--lines={lines}", "--output=short-iso", f"--unit={unit}"]
    return remote.run(command, check=False).output.strip()[-3000:] or "(nothing)"


def on_demand(statuses: Iterable[UnitStatus], units: Sequence[str]) -> set[str]:
    """Those that a socket or timer of the same list starts when they are needed: they need not run to be `running`."""
    return {status.name for status in statuses if status.triggered_by & set(units)}


def triggers_first(statuses: dict[str, UnitStatus]) -> list[str]:
    """The order in which to stop them: sockets and timers before what they would start again."""
    return sorted(statuses, key=lambda unit: unit.endswith(".service"))


def _job(remote: RemoteHost, verb: str, unit: str) -> None:
    done = remote.run(["systemctl", verb, "--", unit], check=False, timeout=JOB_SECONDS)
    status = settled(remote, [unit])[unit]
    reached = status.is_active if verb != "stop" else status.is_stopped
    if done.status == 0 and reached:
        return
    said = done.error.strip() or f"it is {status.active} ({status.sub})"
    raise ChangeFailed(
        f"on {remote.name}, `systemctl {verb} {unit}` failed: {said}\n"
        f"The unit's journal says:\n{journal_of(remote, unit)}"
    )


def _status(unit: str, block: dict[str, str]) -> UnitStatus:
    return UnitStatus(
        name=unit,
        active=block.get("ActiveState", "unknown"),
        sub=block.get("SubState", "unknown"),
        busy=block.get("Job", "0") not in ("", "0"),
        invocation=block.get("InvocationID", ""),
        triggered_by=frozenset(block.get("TriggeredBy", "").split()),
        active_since=int(block.get("ActiveEnterTimestampMonotonic") or 0) / 1e6,
    )

"""Control groups: what a host's processes are found and ended by, whatever became of the program that started them."""

import contextlib
import os
import signal
import time
from pathlib import Path

from lab.paths import Instance
from lab.shell import LabError

MOUNT = Path("/sys/fs/cgroup")
DRIVER = "driver"  # the group of the supervisor and the forwarders
JOINED = "joined"  # the group of programs that `exec` runs


def hierarchies() -> list[Path]:
    """Where groups must be made: version 2 alone, or beside systemd's version 1 hierarchy on a hybrid machine."""
    hybrid = [MOUNT / name for name in ("unified", "systemd") if (MOUNT / name / "cgroup.procs").exists()]
    if hybrid:
        return hybrid
    if (MOUNT / "cgroup.procs").exists():
        return [MOUNT]
    raise LabError("no control groups are mounted below /sys/fs/cgroup: the lab needs them to run systemd in its hosts")


def enter(instance: Instance, group: str) -> None:
    """Make the group if needed and put this process into it."""
    for hierarchy in hierarchies():
        directory = hierarchy / instance.cgroup / group
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "cgroup.procs").write_text(str(os.getpid()))


def leave() -> None:
    """Put this process back into the root group, so that the group it was in can be removed."""
    for hierarchy in hierarchies():
        (hierarchy / "cgroup.procs").write_text(str(os.getpid()))


def groups(instance: Instance) -> list[str]:
    found = {
        path.name for hierarchy in hierarchies() for path in (hierarchy / instance.cgroup).glob("*") if path.is_dir()
    }
    return sorted(found)


def processes(instance: Instance, group: str = "") -> set[int]:
    """Process ids in a group and all below it; of the whole instance without `group`."""
    found: set[int] = set()
    for hierarchy in hierarchies():
        for directory, _, _ in os.walk(hierarchy / instance.cgroup / group):  # which minds no group that goes meanwhile
            with contextlib.suppress(OSError):
                found.update(int(pid) for pid in Path(directory, "cgroup.procs").read_text().split())
    return found


def kill(instance: Instance, group: str, seconds: float = 60) -> None:
    """End every process of the group by force, wait until none is left, remove the group."""
    deadline = time.monotonic() + seconds
    spared = own_line()
    while left := processes(instance, group) - spared:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise LabError(f"processes {sorted(left)} of {instance.name}/{group} don't end, even when killed")
        time.sleep(0.02)
    remove(instance, group)


def remove(instance: Instance, group: str = "") -> None:
    """Remove a group and all below it, as far as they are empty."""
    for hierarchy in hierarchies():
        for directory, _, _ in os.walk(hierarchy / instance.cgroup / group, topdown=False):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()


def own_line() -> set[int]:
    """This process and those that started it: a `down` that was itself started through `exec` must not end itself."""
    found, pid = set(), os.getpid()
    while pid > 1:
        found.add(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return found

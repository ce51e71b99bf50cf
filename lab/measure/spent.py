"""What a part of the tests costs: minutes, and processor time of everything that it starts, the site's hosts included.

The minutes are those of this machine as loaded as it is; the processor time says what they would be on a quiet one.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from lab.hosts import cgroups
from lab.paths import Instance
from lab.shell import LabError


@dataclass(frozen=True)
class Spent:
    part: str
    minutes: float
    cpu_minutes: float  # nought where the machine has no control groups
    load: float

    def __str__(self) -> str:
        return f"{self.part:14} {self.minutes:5.1f} min, {self.cpu_minutes:5.1f} min of CPU, load {self.load:.1f}"


@contextlib.contextmanager
def measured(part: str, *sites: Instance) -> Iterator[None]:
    """Measure the block and say what it took, also when it fails."""
    group = Instance(f"part-{part}")  # of what it starts outside the site
    groups = [group, *sites]
    with contextlib.suppress(LabError, OSError):  # nobody may make groups here: then the minutes alone
        cgroups.enter(group, "part")
    began, before = time.monotonic(), [_cpu(each) for each in groups]
    try:
        yield
    finally:
        # A site that was booted afresh counts from nought.
        after = [_cpu(each) for each in groups]
        cpu = sum(now - then if now >= then else now for now, then in zip(after, before, strict=True))
        print(f"\ntests: {Spent(part, (time.monotonic() - began) / 60, cpu / 60, os.getloadavg()[2])}", flush=True)
        with contextlib.suppress(LabError, OSError):
            cgroups.leave()
            cgroups.remove(group)


def _cpu(instance: Instance) -> float:
    """Processor time of all that ran in the instance's groups, in seconds."""
    try:
        stat = (cgroups.hierarchies()[0] / instance.cgroup / "cpu.stat").read_text()
    except (LabError, OSError):
        return 0.0
    return int(dict(line.split() for line in stat.splitlines()).get("usage_usec", 0)) / 1e6

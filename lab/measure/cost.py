"""What Airflow costs: CPU seconds and memory of its processes, by what they are. Reads /proc alone."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from lab.airflow.processes import Home

# By a word of their command line, the first that fits. Workers are forked from the scheduler, tasks from workers.
KINDS = {
    "airflow worker": "tasks",
    "task supervisor": "tasks",
    "scheduler": "scheduler",
    "api_server": "api-server",
    "api-server": "api-server",
    "dag-processor": "dag-processor",
    "dag_processor": "dag-processor",
    "triggerer": "triggerer",
    "honcho": "others",
}


def cpu_seconds(home: Home) -> Counter[str]:
    """CPU seconds so far, of user and system, by kind of process, with those that have ended."""
    found: Counter[str] = Counter()
    for kind, times in _of_all(home, lambda process: process.cpu_times()):
        found[kind] += times.user + times.system + times.children_user + times.children_system
    return found


def memory_bytes(home: Home) -> Counter[str]:
    """Memory now, by kind of process; what several share is divided among them (PSS)."""
    found: Counter[str] = Counter()
    for kind, memory in _of_all(home, lambda process: process.memory_full_info()):
        found[kind] += memory.pss
    return found


def _of_all(home: Home, ask: Callable[[psutil.Process], Any]) -> Iterator[tuple[str, Any]]:
    roots = {"": int(home.pid_file.read_text()), "postgresql": home.database.process()}
    for kind, pid in roots.items():
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                yield kind or _kind(process), ask(process)


def _kind(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    return next((kind for word, kind in KINDS.items() if word in line), "tasks")

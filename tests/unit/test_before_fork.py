"""What workers import before they fork a process for each task: all of it, and nothing that a fork would break."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bascule.operators import before_fork

from lab.paths import CHECKOUT, SITE_FILE
from tests.ledgers import empty_ledger

# As the process of Airflow that these words start, up to where it forks.
LOOK = """
import gc, json, os, sys
sys.argv = ["airflow", *sys.argv[1:]]
import airflow.settings
from bascule.ledger import base
from bascule.operators import before_fork
print(json.dumps({
    "missing": [name for name in before_fork.NAMES if name not in sys.modules],
    "threads": len(os.listdir("/proc/self/task")),
    "sockets": [found for fd in os.listdir("/proc/self/fd") if os.path.islink(path := f"/proc/self/fd/{fd}")
                and (found := os.readlink(path)).startswith("socket:")],
    "asked": len(base._kept),
    "collected_every": gc.get_threshold()[0],
}))
"""


def process(*words: str, home: Path) -> dict[str, Any]:
    env = {**os.environ, "AIRFLOW_HOME": str(home), "PYTHONPATH": f"{CHECKOUT / 'plugins'}:{CHECKOUT}"}
    env["BASCULE_LEDGER"] = empty_ledger(home / "ledger.db")
    done = subprocess.run([sys.executable, "-c", LOOK, *words], env=env, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("words", [("scheduler",), ("celery", "worker")])
def test_who_forks_tasks_has_their_modules_and_no_socket_or_thread(words: tuple[str, ...], tmp_path: Path) -> None:
    found = process(*words, home=tmp_path)
    assert found == {"missing": [], "threads": 1, "sockets": [], "asked": 1, "collected_every": 50_000}


@pytest.mark.parametrize("words", [("api-server",), ("tasks", "run", "dag", "scheduler")])
def test_other_processes_import_none_of_it(words: tuple[str, ...], tmp_path: Path) -> None:
    found = process(*words, home=tmp_path)
    assert "bascule.tasks.mailbox" in found["missing"] and not found["asked"]
    assert found["collected_every"] == 700


def test_a_module_that_is_not_there_stops_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(before_fork, "NAMES", ("no.such.module", "bascule.tasks.mailbox"))
    before_fork.load()


def test_the_cluster_finds_the_settings_where_it_finds_the_plugins() -> None:
    assert (CHECKOUT / "plugins" / "airflow_local_settings.py").exists()
    assert "PYTHONPATH=/opt/bascule/plugins" in (CHECKOUT / "Dockerfile").read_text(encoding="utf-8")


# What a DAG file imports in each task's process, behind the fork.
LATE = """
import runpy, sys
from bascule.operators import before_fork
before_fork.load()
there = set(sys.modules)
for path in sys.argv[1:]:
    runpy.run_path(path)
print(sorted(set(sys.modules) - there))
"""


def test_no_dag_file_imports_anything_in_the_process_of_a_task(tmp_path: Path) -> None:
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "BASCULE_SITE": str(SITE_FILE),
        "PYTHONPATH": f"{CHECKOUT / 'plugins'}:{CHECKOUT}",
    }
    dags = [str(path) for path in sorted((CHECKOUT / "dags").glob("*.py"))]
    done = subprocess.run([sys.executable, "-c", LATE, *dags], env=env, capture_output=True, text=True, check=True)
    assert dags
    assert done.stdout.splitlines()[-1] == "[]"

"""What the image's entrypoint begins, and that a worker does not set for SIGTERM what Airflow would set."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.paths import CHECKOUT

# In the place of Airflow's `main`: what each of its lasting commands does first.
PROBE = """
import runpy, signal, sys, types
from argparse import Namespace
import airflow.__main__
from airflow.cli.commands.daemon_utils import run_command_with_daemon_option as run

def lasting():
    run(args=Namespace(daemon=False), process_name="worker", callback=say)

def say():
    print(repr(signal.getsignal(signal.SIGTERM)))

heartbeats = []
celery = types.ModuleType("celery.signals")  # Celery is in the image alone
celery.heartbeat_sent = types.SimpleNamespace(connect=lambda act, weak: heartbeats.append(act))
sys.modules.update({{"celery": types.ModuleType("celery"), "celery.signals": celery}})
airflow.__main__.main = lasting
{begin}
"""


def handler(begin: str) -> str:
    command = [sys.executable, "-c", PROBE.format(begin=begin)]
    environment = {**os.environ, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def test_a_worker_that_starts_is_ended_by_the_signal_itself() -> None:
    assert handler('runpy.run_path("cluster/worker.py", run_name="__main__")') == "<Handlers.SIG_DFL: 0>"


def test_a_worker_touches_its_sign_of_life_with_each_heartbeat(tmp_path: Path) -> None:
    """The file at which cluster/healthy.sh looks; Celery lets go of what it is not asked to hold."""
    sign = tmp_path / "worker-alive"
    script = (CHECKOUT / "cluster" / "worker.py").read_text(encoding="utf-8")
    assert '"/tmp/worker-alive"' in script and "weak=False" in script
    (tmp_path / "worker.py").write_text(script.replace("/tmp/worker-alive", str(sign)), encoding="utf-8")
    begin = f'runpy.run_path("{tmp_path}/worker.py", run_name="__main__")'

    assert handler(begin) == "<Handlers.SIG_DFL: 0>" and not sign.exists()
    assert handler(f"{begin}\n[act] = heartbeats\nact(sender=None)\nprint('touched')") == "touched"
    assert sign.exists()


def test_airflows_own_command_would_raise_an_exception() -> None:
    """When this fails, cluster/worker.py may no longer be needed."""
    assert "sigint_handler" in handler("airflow.__main__.main()")


@pytest.mark.parametrize(
    ("words", "begun"),
    [
        (["celery", "worker"], "python cluster/worker.py celery worker"),
        (["airflow", "scheduler"], "python cluster/scheduler.py scheduler"),
        (["bash", "-c", "exec airflow celery worker"], "python cluster/worker.py celery worker"),
        (["dag-processor"], "python cluster/dag_processor.py dag-processor"),
        (["bash", "-c", "exec airflow triggerer"], "airflow triggerer"),
        (["api-server"], "airflow api-server"),
    ],
)
def test_the_entrypoint_begins_bascules_own_commands_also_through_a_shell(
    tmp_path: Path, words: list[str], begun: str
) -> None:
    cluster = tmp_path / "cluster"
    (cluster / "bin").mkdir(parents=True)
    (cluster / "bin" / "airflow").symlink_to("../entrypoint.sh")
    text = (CHECKOUT / "cluster" / "entrypoint.sh").read_text(encoding="utf-8")
    files = {
        cluster / "entrypoint.sh": text.replace("/opt/bascule", str(tmp_path)).replace("/usr/local/bin", str(tmp_path)),
        tmp_path / "airflow": '#!/bin/sh\necho airflow "$@"\n',
        tmp_path / "python": '#!/bin/sh\necho python "$@"\n',
    }
    for path, content in files.items():
        path.write_text(content, encoding="utf-8")
        path.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [cluster / "entrypoint.sh", *words], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout.replace(f"{tmp_path}/", "").strip() == begun
    assert (CHECKOUT / "cluster" / "bin" / "airflow").readlink() == Path("../entrypoint.sh")

"""Logs on a full disk: no task ends for it, no line is lost, and the log says what is missing in it.

A limit of the size of files stands in for the disk: the kernel then takes a part of a line, and refuses the rest.
"""

import contextlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bascule.operators.log_files import LogPath

from lab.paths import CHECKOUT


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may become larger than `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("mode", ["ab", "wb"])
def test_a_line_that_does_not_fit_goes_to_the_process_and_the_log_tells_its_number(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], mode: str
) -> None:
    path, long = LogPath(tmp_path / "attempt=1.log"), "first" * 1000
    with path.open(mode) as log:
        log.write(b'{"event": "%s"}\n' % long.encode())
        with room_for(len(long) + 20):  # the beginning of the next one fits
            log.write(b'{"event": "second"}\n')
            log.write(b'{"event": "third"}\n')
        log.write(b'{"event": "fourth"}\n')
        log.write(b'{"event": "fifth"}\n')

    first, gap, fourth, fifth = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["event"] for line in (first, fourth, fifth)] == [long, "fourth", "fifth"]
    assert gap["event"].startswith("2 line(s) could not be written here (File too large)")
    assert gap["level"] == "warning" and gap["timestamp"]
    said = capfd.readouterr().err.splitlines()
    assert said == [
        f'bascule: {path} can\'t be written (File too large): {{"event": "{number}"}}' for number in ("second", "third")
    ]


def test_a_log_that_can_not_even_be_made_is_made_later(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A full disk may have no room for its folder."""
    (tmp_path / "run").write_text("in the way")
    with LogPath(tmp_path / "run" / "attempt=1.log").open("ab") as log:
        log.write(b"first\n")
        (tmp_path / "run").unlink()
        log.write(b"second\n")

    assert "first" in capfd.readouterr().err
    assert (tmp_path / "run" / "attempt=1.log").read_text().splitlines()[1:] == ["second"]


def test_what_comes_after_the_end_is_refused_as_by_any_file(tmp_path: Path) -> None:
    """Airflow's supervisor knows this error, and its words."""
    log = LogPath(tmp_path / "log").open("ab")
    log.close()
    with pytest.raises(ValueError, match="closed file"):
        log.write(b"late\n")


# As the processes of Airflow that write logs, on a disk that has room for one line.
WRITE = """
import os, resource, sys
sys.argv = ["airflow", *sys.argv[1:]]
import airflow.settings
from airflow.dag_processing import manager
from airflow.sdk.execution_time import supervisor
logger, file = supervisor._configure_logging("dag_id=d/attempt=1.log", None)
resource.setrlimit(resource.RLIMIT_FSIZE, (8, resource.RLIM_INFINITY))
logger.info("found", folder="Sent")
file.close()
print(manager.init_log_file("dag.log").open("ab").__class__.__name__)
"""


@pytest.mark.parametrize("process", ["celery", "dag-processor"])
def test_airflow_writes_its_logs_so(process: str, tmp_path: Path) -> None:
    """Also in the next version of Airflow: the names that it calls are its own."""
    environment = {
        **os.environ, "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": f"{CHECKOUT / 'plugins'}:{CHECKOUT}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(tmp_path / "logs"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", WRITE, process], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "LogFile"
    said = next(line for line in done.stderr.splitlines() if line.startswith("bascule: "))
    assert "attempt=1.log can't be written (File too large): " in said and '"folder":"Sent"' in said
    assert (tmp_path / "logs" / "dag_id=d" / "attempt=1.log").read_text() == ""

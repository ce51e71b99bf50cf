"""Log lines of the engine: written by structlog, or not at all."""

import os
import subprocess
import sys
from pathlib import Path

from bascule.logs import get_logger
from structlog.testing import capture_logs

ROOT = Path(__file__).parents[2]


def test_lines_are_structlogs() -> None:
    with capture_logs() as said:
        get_logger("here").info("found", folder="Sent")
        get_logger("here").warning("lost", folder="Drafts")
    assert said == [
        {"event": "found", "folder": "Sent", "log_level": "info"},
        {"event": "lost", "folder": "Drafts", "log_level": "warning"},
    ]


def command_line(verbose: bool) -> str:
    script = (
        "from bascule.logs import get_logger, to_standard_error; log = get_logger('here'); "
        f"to_standard_error({verbose}); log.info('found'); log.warning('lost')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT / "plugins")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == ""
    return ended.stderr


def test_a_quiet_command_line_writes_none() -> None:
    assert command_line(verbose=False) == ""


def test_a_verbose_command_line_writes_all_to_the_standard_error() -> None:
    assert all(word in command_line(verbose=True) for word in ("found", "lost"))

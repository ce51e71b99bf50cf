"""Log lines: by one logger, in which nothing that others wrote does harm; by structlog, or not at all."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bascule.text.logs import get_logger
from structlog.testing import capture_logs

PACKAGE = Path(__file__).parents[2] / "plugins" / "bascule"
ROOT = Path(__file__).parents[2]


def test_lines_are_structlogs() -> None:
    with capture_logs() as said:
        get_logger("here").info("found", folder="Sent")
        get_logger("here").warning("lost", folder="Drafts")
    assert said == [
        {"event": "found", "folder": "Sent", "log_level": "info"},
        {"event": "lost", "folder": "Drafts", "log_level": "warning"},
    ]


def test_what_others_wrote_is_harmless_wherever_it_stands_in_a_line() -> None:
    hostile = "a\nforged line\x1b[2J\u202e"
    with capture_logs() as said:
        get_logger("here").error(
            f"lost {hostile}", name=hostile, names=[hostile], facts={hostile: (hostile, 1)}, why=ValueError(hostile)
        )
    assert "a\\u000aforged line\\u001b[2J\\u202e" in said[0]["name"]
    assert not any(character in str(said[0].values()) for character in "\n\x1b\u202e")
    assert said[0]["facts"] == {said[0]["name"]: [said[0]["name"], 1]}


def test_an_exception_is_logged_with_its_traceback() -> None:
    with capture_logs() as said:
        try:
            raise ValueError("broken")
        except ValueError:
            get_logger("here").exception("a check broke", subject="mail")
    assert said == [{"event": "a check broke", "subject": "mail", "exc_info": True, "log_level": "error"}]


def other_loggers(source: str) -> list[str]:
    """`line: name` of every other logger."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [f"{node.lineno}: {name}" for name in names if name.split(".")[0] in ("structlog", "logging")]
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "self.log":  # Airflow's
            found.append(f"{node.lineno}: self.log")
    return found


def test_the_check_finds_another_logger() -> None:
    assert other_loggers("def run():\n    import structlog\n    from logging import getLogger\nself.log.info(1)") == [
        "2: structlog",
        "3: logging",
        "4: self.log",
    ]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_gets_a_logger_elsewhere(path: Path) -> None:
    only = path == PACKAGE / "text" / "logs.py"
    assert bool(other_loggers(path.read_text(encoding="utf-8"))) is only


def command_line(least: str) -> str:
    script = (
        "from bascule.text.logs import *; log = get_logger('here'); "
        f"to_standard_error({least}); log.info('found'); log.warning('lost')"
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
    assert command_line("NOTHING") == ""


def test_a_command_line_may_write_only_what_needs_somebody() -> None:
    said = command_line("WARNING")
    assert "lost" in said
    assert "found" not in said


def test_a_verbose_command_line_writes_all_to_the_standard_error() -> None:
    assert all(word in command_line("INFO") for word in ("found", "lost"))

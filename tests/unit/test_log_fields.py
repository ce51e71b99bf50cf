"""Names of log fields that Airflow 3.3's task supervisor takes for its own: a line with one of them kills the task."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "plugins" / "bascule"
RESERVED = {"target", "msg", "level", "event", "timestamp", "exception", "logger", "self"}
METHODS = {"debug", "info", "warning", "error", "critical", "log", "bind"}


def reserved_fields(source: str) -> list[str]:
    """`line: field` of every log call with a reserved field."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            found += [f"{node.lineno}: {word.arg}" for word in node.keywords if word.arg in RESERVED]
    return found


def test_the_check_finds_a_reserved_field() -> None:
    assert reserved_fields('log.info("moved", target="x")') == ["1: target"]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_log_line_uses_a_field_that_kills_its_task(path: Path) -> None:
    assert reserved_fields(path.read_text(encoding="utf-8")) == []

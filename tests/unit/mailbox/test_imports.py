"""What the engine's command line must not import: a short pass costs little more than Python and its imports."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

# Each costs between a hundredth and a third of a second, and a pass between two servers needs none of them.
NOT_NEEDED = {
    "airflow", "paramiko", "pydantic", "ldap3", "jinja2", "structlog", "rich", "httpx", "caldav", "icalendar",
    "yaml", "sqlalchemy.dialects.postgresql", "email.policy", "bascule.site", "bascule.hosts.directory",
    "bascule.mailbox.verify.audit", "bascule.mailbox.forecast", "bascule.mailbox.messages.repair",
}  # fmt: skip

SHOW = "import sys, bascule.mailbox.__main__; print('\\n'.join(sys.modules))"


def test_the_command_line_imports_only_what_a_pass_needs() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", SHOW],
        env={**os.environ, "PYTHONPATH": str(ROOT / "plugins")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "bascule.mailbox.sync" in shown
    assert NOT_NEEDED.isdisjoint(shown)

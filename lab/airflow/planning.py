"""The administrator of the moves: proposes their plan at the command line, and edits its table as in a spreadsheet."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from bascule.moves.plan_table import COLUMNS, START
from bascule.problems import table

from lab.paths import CHECKOUT
from lab.shell import LabError

ZONE = ZoneInfo("Europe/Paris")  # of the practice site
Row = dict[str, str]


@dataclass(frozen=True)
class Planner:
    """Runs `python -m bascule.moves`. `joining`: the words before it, by which it comes into the site's network."""

    joining: Sequence[str]
    environment: Mapping[str, str]
    file: Path  # the table, between `plan write` and `plan take`

    def propose(self, per_wave: int) -> str:
        """The plan as it is proposed from today on; what the command said."""
        return self.run("plan", "propose", "--per-wave", str(per_wave), "--from", f"{now():%Y-%m-%d}")

    def edit(self, changed: Callable[[Row], Row | None]) -> str:
        """Take the table with each row as `changed` makes it (None: without it); what the command said."""
        self.run("plan", "write", str(self.file))
        rows = [row for _, found in table.read(self.file.read_bytes(), COLUMNS) if (row := changed(_plain(found)))]
        cells = [[row[column] for column in COLUMNS] for row in rows]
        self.file.write_bytes(table.with_mark(table.as_csv(COLUMNS, cells)))
        return self.run("plan", "take", str(self.file))

    def run(self, *words: str) -> str:
        """One command; what it printed. Raises LabError."""
        command = [*self.joining, sys.executable, "-m", "bascule.moves", *words]
        done = subprocess.run(command, cwd=CHECKOUT, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(f"bascule.moves {' '.join(words)}: {done.stderr.strip()[-500:]}")
        return done.stdout


def now() -> datetime:
    """On the clocks of the site."""
    return datetime.now(UTC).astimezone(ZONE)


def start(after: timedelta = timedelta()) -> str:
    """An instant from now as the table has it: the minute that goes on, or a later one."""
    return (now() + after).strftime(START)


def _plain(row: Row) -> Row:
    return {name: table.unguarded(cell) for name, cell in row.items()}

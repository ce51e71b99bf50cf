"""What tasks and phases are called for people, and the line of the model day that each keeps: `include/day.yaml`."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bascule.text import data_file

FILE = Path(__file__).resolve().parents[3] / "include" / "day.yaml"


@dataclass(frozen=True)
class Line:
    """One task's name by language; `at`: when the admins of the model day did it by hand."""

    names: dict[str, str]
    at: str = ""


@cache
def lines() -> dict[str, dict[str, Line]]:
    """Phase -> task -> its line, in the order of the day."""
    raw = data_file.read(FILE)
    return {
        phase: {
            task: Line({k: v for k, v in item.items() if k != "at"}, item.get("at", "")) for task, item in of.items()
        }
        for phase, of in raw.items()
    }


def line(phase: str, task: str) -> Line:
    """A task's line; one that nobody has named yet is called by its id."""
    return lines().get(phase, {}).get(task) or Line({"en": task, "fr": task})

"""The kinds of problems, as people read them: `include/problems.yaml`, and `include/reasons.yaml` for owners."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

FILE = Path(__file__).resolve().parents[2] / "include" / "problems.yaml"
REASONS = FILE.with_name("reasons.yaml")


@dataclass(frozen=True)
class Kind:
    """One kind: its name, what it means, and which standing decisions a site file may take about it."""

    key: str  # room/kind
    name: str
    explanation: str
    standing: tuple[str, ...]


@cache
def kinds() -> dict[str, Kind]:
    """Every kind by its key."""
    raw = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return {
        key: Kind(key, item["name"], " ".join(item["explanation"].split()), tuple(item["standing"]))
        for key, item in raw.items()
    }


def kind_of(room: str, kind: str) -> Kind:
    """The kind, or one with nothing but the name that the room gives it."""
    key = f"{room}/{kind}"
    return kinds().get(key) or Kind(key, kind[:1].upper() + kind[1:], "", ())


@cache
def reasons() -> dict[str, dict[str, str]]:
    """What the owner of a mailbox is told about each kind: by its key, then by language."""
    return yaml.safe_load(REASONS.read_text(encoding="utf-8"))


def reason(room: str, kind: str, language: str) -> str:
    """The owner's words for a kind in a language; empty for a kind without any."""
    return reasons().get(f"{room}/{kind}", {}).get(language, "")

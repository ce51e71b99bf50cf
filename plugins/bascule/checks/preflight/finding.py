"""What a preflight check says: a level, what it is about, and one sentence."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "failure"]


@dataclass(frozen=True)
class Finding:
    """`failure`: the day can't go on like this. `warning`: a person should read it. `ok`: looked at and good."""

    level: Level
    subject: str
    sentence: str


def ok(subject: str, sentence: str) -> Finding:
    return Finding("ok", subject, sentence)


def warning(subject: str, sentence: str) -> Finding:
    return Finding("warning", subject, sentence)


def failure(subject: str, sentence: str) -> Finding:
    return Finding("failure", subject, sentence)


def some(names: list[str], most: int = 5) -> str:
    """The first of many names, for a sentence."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more

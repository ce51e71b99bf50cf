"""What was forecast of the outage, as the journal has it, and the one formula by which its parts make up the whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bascule.ledger import Ledger, journal
from bascule.ledger.outage import Outage

KIND = "forecast"  # in the journal
BESIDE_ACTS = ("look", "mailboxes", "filters", "calendars")


def beside_acts(look: float, mailboxes: float, filters: float, calendars: float) -> float:
    """Seconds of what is no act: mailboxes and filters follow the look, side by side; calendars beside all three."""
    return max(look + max(mailboxes, filters), calendars)


@dataclass(frozen=True)
class Forecast:
    """What was forecast: seconds of the outage, by what, and who takes longest.

    `least`, `most`: between which it will lie, without people's answers; 0 where an older Bascule noted it.
    """

    seconds: int
    parts: Mapping[str, int]  # "acts" and BESIDE_ACTS
    at: datetime
    least: int = 0
    most: int = 0
    with_a_task: int = 0  # mailboxes
    slots: int = 0  # mailboxes at once
    questions: int = 0  # accounts with questions
    slowest: Sequence[tuple[str, float]] = ()  # accounts with their seconds


def noted(ledger: Ledger, of: Outage | None) -> journal.Entry | None:
    """The forecast by which this outage is judged: the last one that was noted before it began.

    The very last one without an outage, and where none was noted before it.
    """
    notes = journal.entries(ledger, kind=KIND)
    before = [note for note in notes if of and note.number < of.first]
    return next(reversed(before or notes), None)


def forecast(ledger: Ledger, of: Outage | None = None) -> Forecast | None:
    """The same, as pages show it."""
    note = noted(ledger, of)
    return _told(dict(note.after or {}), note.at) if note and note.at else None


def _told(after: dict[str, Any], at: datetime) -> Forecast:
    return Forecast(
        seconds=int(after.get("seconds", 0)),
        parts={name: int(after.get(name, 0)) for name in ("acts", *BESIDE_ACTS)},
        at=at,
        least=int(after.get("least", 0)),
        most=int(after.get("most", 0)),
        with_a_task=int(after.get("with a task", 0)),
        slots=int(after.get("slots", 0)),
        questions=int(after.get("questions", 0)),
        slowest=slowest_first(after.get("slowest", {})),
    )


def slowest_first(seconds: Mapping[str, float]) -> list[tuple[str, float]]:
    """Accounts with their seconds; the journal keeps them in the order of their names."""
    return sorted(seconds.items(), key=lambda each: each[1], reverse=True)

"""Forecast and reality side by side: what each part of the outage took, added up as the forecast adds its own."""

from dataclasses import dataclass
from datetime import timedelta

from bascule.views.day import Day, Span, Task
from bascule.views.forecast import BESIDE_ACTS, beside_acts

# What each part of the forecast became: the task whose length it is. Mailboxes count from the end of the look.
BECAME = {
    "look": "look_at_mailboxes",
    "mailboxes": "mailbox.sync",
    "filters": "convert_filters",
    "calendars": "migrate_calendars",
}
ANSWER, ASKED_IN = "answer at the gate", ("cutover", "go_no_go")


@dataclass(frozen=True)
class Row:
    """One part of the outage, or the whole (`outage`), in seconds. `forecast`: None, where people's answers are none.

    `real`: None where it is not yet known.
    """

    part: str
    forecast: float | None
    real: float | None


def compare(day: Day) -> list[Row]:
    """Each part of the forecast with what it became, and at last the outage, people's answers included.

    The acts are what is left of the whole without all that is done beside them, and without the answer at the gate.
    """
    if day.forecast is None:
        return []
    whole = day.outage.length(day.at).total_seconds() if day.outage else None
    real = {part: _took(day, "transfer", task) for part, task in BECAME.items()}
    answer = _took(day, *ASKED_IN)
    if whole is not None and day.outage and day.outage.ended:
        beside = beside_acts(**{part: real[part] or 0.0 for part in BESIDE_ACTS})
        real["acts"] = max(0.0, whole - beside - (answer or 0.0))
    rows = [Row(part, seconds, real.get(part)) for part, seconds in day.forecast.parts.items()]
    asked = [Row(ANSWER, None, answer)] if answer is not None else []
    return [*rows, *asked, Row("outage", day.forecast.seconds, whole)]


def _took(day: Day, of: str, name: str) -> float | None:
    """Seconds of a task of this phase until it was done first, as far as they were seconds of the outage."""
    tasks = (task for phase in day.phases if phase.name == of for task in phase.tasks if task.name == name)
    span = _until_done(next(tasks, None))
    if span is None or span.ended is None or day.outage is None:
        return None
    began, ended = max(span.began, day.outage.began), min(span.ended, day.outage.ended or span.ended)
    return max(ended - began, timedelta()).total_seconds()


def _until_done(task: Task | None) -> Span | None:
    """From the beginning of the first try to the end of the first good one: what is cleared later is done once more."""
    if task is None:
        return None
    ends = (span.ended for span, state in task.tries if state == "done")
    return Span(task.tries[0][0].began, next(ends, None)) if task.tries else None

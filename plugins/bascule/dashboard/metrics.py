"""What Prometheus, or OpenTelemetry's collector, reads: the day as numbers, in Prometheus' text format."""

from collections.abc import Iterable, Iterator

from bascule.dashboard import problems, today
from bascule.dashboard.room import Room
from bascule.views import progress
from bascule.views.day import Day

PREFIX = "bascule"
STATES = ("to come", "running", "asking", "failed", "done")  # of a phase
Labels = tuple[tuple[str, str], ...]


def text(room: Room) -> str:
    """All metrics."""
    return "".join(_lines(room))


def _lines(room: Room) -> Iterator[str]:
    day, found = room.day("day"), room.mailboxes()
    copying = today.copies(day)
    states = found.by_state(copying.span.began if copying and copying.span else None)
    yield from _metric(
        "mailboxes", "Mailboxes by state", {(("state", name),): states[name] for name in progress.STATES}.items()
    )
    yield from _metric("messages", "Messages in all mailboxes", [((), found.messages)])
    yield from _metric("bytes", "Bytes in all mailboxes", [((), found.bytes)])
    rate = room.fresh.get("rate", lambda: progress.rate(room.ledger))
    yield from _metric("copied_messages_per_second", "Over the last five minutes", [((), rate.messages)])
    yield from _metric("copied_bytes_per_second", "Over the last five minutes", [((), rate.bytes)])
    by_kind = room.fresh.get("by kind", lambda: problems.by_kind(room.ledger))
    counts = {(("kind", kind), ("state", state)): count for kind, of in by_kind.items() for state, count in of.items()}
    yield from _metric("problems", "Problems by kind and state", counts.items())
    waiting = {state: sum(each.state == state for each in day.attention) for state in ("asking", "failed")}
    yield from _metric(
        "tasks_that_need_a_person", "By why", {(("state", name),): n for name, n in waiting.items()}.items()
    )
    phases = {(("phase", each.name), ("state", name)): each.state == name for each in day.phases for name in STATES}
    yield from _metric("phase", "1 for the state that the phase is in", phases.items())
    yield from _of_the_outage(day)
    if (queue := _queue(day)) is not None:
        yield from _metric("queue_messages", "Messages in the MX's queue when `drain` looked last", [((), queue)])


def _of_the_outage(day: Day) -> Iterator[str]:
    if day.outage:
        yield from _metric("outage_seconds", "So far, or in all", [((), day.outage.length(day.at).total_seconds())])
    if day.forecast:
        yield from _metric("outage_forecast_seconds", "By the last forecast before it", [((), day.forecast.seconds)])


def _queue(day: Day) -> int | None:
    """How many messages `watch_queues` has seen last; None where nobody knows: no metric is better than a wrong 0."""
    watched = next((task for phase in day.phases for task in phase.tasks if task.name == "watch_queues"), None)
    if watched is None or watched.state not in ("waiting", "done"):
        return None
    number = watched.sentence.partition(" ")[0]
    if watched.state == "done":
        return 0
    return int(number) if number.isdecimal() else None


def _metric(name: str, told: str, values: Iterable[tuple[Labels, float]]) -> Iterator[str]:
    yield f"# HELP {PREFIX}_{name} {told}\n# TYPE {PREFIX}_{name} gauge\n"
    for labels, value in values:
        named = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
        yield f"{PREFIX}_{name}{{{named}}} {float(value):.10g}\n" if named else f"{PREFIX}_{name} {float(value):.10g}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

"""The first page: what needs a person, the timeline, forecast and reality, how far the mailboxes are."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from bascule.dashboard.links import Links
from bascule.dashboard.room import Room
from bascule.ledger import moves
from bascule.problems import store
from bascule.views import names, progress, timeline
from bascule.views.day import Attention, Day, Phase, Scene
from bascule.views.language import Reader
from bascule.views.names import Line
from bascule.views.reality import compare
from bascule.views.words import WORDS


def values(room: Room, reader: Reader, scene: Scene | None) -> dict[str, Any]:
    """What the template shows."""
    day, found = room.day(scene), room.mailboxes()
    copying = copies(day)
    return {
        "day": day,
        "has_day": (day if day.scene == "day" else room.day("day")).phases[0].span is not None,
        "axis": timeline.axis(day),
        "expected": timeline.expected_end(day),
        "compared": compare(day),
        "headline": headline(day, found, reader),
        **progress_of(found, copying, day),
        "links": Links(),
        "whom": lambda each: whom(room, each, reader),
        "needs": needs(day.attention),
        "holds": room.fresh.get("holds", lambda: moves.holds(room.ledger)),
        "open_questions": room.fresh.get("open", lambda: store.count(room.ledger, "open")),
    }


def needs(attention: Iterable[Attention]) -> list[tuple[Line, list[Attention]]]:
    """What needs a person, by task: thousands of questions of one task are one line."""
    groups: dict[tuple[str, str, str], list[Attention]] = {}
    for each in attention:
        groups.setdefault((each.state, each.phase, each.name), []).append(each)
    return [(names.line(phase, name), group) for (_, phase, name), group in groups.items()]


def copies(day: Day) -> Phase | None:
    """The phase of this day in which the mailboxes are copied, if it has begun."""
    return next((phase for phase in day.phases if phase.span and phase.name in ("prepare", "transfer")), None)


def progress_of(found: progress.Mailboxes, copying: Phase | None, day: Day) -> dict[str, Any]:
    """The bar and the curve of the mailboxes."""
    span = copying.span if copying else None
    shown = found.shown(span.began if span else None)
    curve = progress.curve(found, span.began, span.ended, day.at) if span else None
    return {
        "found": found,
        "shown": shown,
        "counts": Counter(shown.values()),
        "states": progress.STATES,
        "curve": curve,
        "drawn": timeline.draw(curve) if curve else None,
    }


def headline(day: Day, found: progress.Mailboxes, reader: Reader) -> str:
    """The day in a few sentences, as one would tell it on the telephone."""
    told = [_how_far(day, reader)]
    copying = copies(day)
    if copying and copying.span and found.total:
        done, _ = found.done_since(copying.span.began)
        values = {"done": reader.number(done), "total": reader.number(found.total)}
        told.append(reader.text("%(done)s of %(total)s mailboxes are done.", **values))
    asking = sum(each.state == "asking" for each in day.attention)
    failed = len(day.attention) - asking
    if asking:
        told.append(reader.texts("%(n)s question waits.", "%(n)s questions wait.", asking))
    if failed:
        told.append(reader.texts("%(n)s task has failed.", "%(n)s tasks have failed.", failed))
    if day.outage:
        length = reader.duration(day.outage.length(day.at))
        took = reader.text("The outage took %(length)s.", length=length)
        lasts = reader.text("The outage lasts %(length)s so far.", length=length)
        told.append(took if day.outage.ended else lasts)
    return " ".join(told)


def _how_far(day: Day, reader: Reader) -> str:
    if day.is_over and not day.way_back:
        return reader.text("The day is done.")
    phase = day.running
    if phase is None:
        last = [phase for phase in day.phases if phase.span]
        if not last:
            return reader.text("Nothing has run yet: trigger prepare.")
        return reader.text("%(phase)s is finished.", phase=reader.text(WORDS[last[-1].name]))
    return reader.text("%(phase)s runs.", phase=reader.text(WORDS[phase.name]))


def whom(room: Room, each: Attention, reader: Reader) -> str:
    """Who may answer, by their names."""
    gates = room.site.gates
    named = gates.reviewers if Links().is_ours(each) else gates.cutover
    return ", ".join(named) or reader.text("everybody who may edit the run")

"""The figures of moves: what the mail programs measured, beside when mail was held, as Bascule's journal has it."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bascule.ledger import Ledger, journal

from lab.measure import at_work
from lab.measure.at_work import Verdict
from lab.paths import Instance

SHARES = {"median": 0.5, "99 %": 0.99, "worst": 1.0}
AIMS = {"outages": (3.0, 8.0, 15.0), "delays": (10.0, None, 60.0)}  # seconds, for each of these
TITLES = {"outages": "outage of a user, s", "delays": "delay of mail that came during a move, s"}
Figures = dict[str, Any]


def rows_of(ledger: Ledger) -> int:
    """How long the journal is."""
    return len(journal.entries(ledger))


def figures(instance: Instance, ledger: Ledger, verdict: Verdict, after: int) -> Figures:
    """Of the moves that the journal's rows after so many tell, and of what the programs wrote down when they ended."""
    record, windows = at_work.told(instance), held(ledger, after)
    outages = [outage for program in record["programs"] for outage in program["outages"]]
    during = [
        seconds
        for account, at, seconds in verdict.delays
        if account in windows and windows[account][0] <= at <= windows[account][1]
    ]
    return {
        "accounts": len(record["programs"]),
        "moves": len(windows),
        "outages": sorted(outage["seconds"] for outage in outages),
        "broken": outages,
        "held": sorted(round(end - begin, 1) for begin, end in windows.values()),
        "delays": sorted(round(seconds, 1) for seconds in during),
        "all_delays": sorted(round(seconds, 1) for _, _, seconds in verdict.delays),
        "slowest_act": max(program["slowest"] for program in record["programs"]),
        "changed_uids": sum(program["changed_uids"] for program in record["programs"]),
        "refused_mail": [line for sender in record["senders"] for line in sender["refused"]],
        "late": told_by_passes(ledger, after, "late"),
        "came_in": told_by_passes(ledger, after, "came_in"),
        "verdict": vars(verdict),
    }


def held(ledger: Ledger, after: int) -> dict[str, tuple[float, float]]:
    """By account, from when to when (Unix time) its mail was held."""
    found = {}
    for entry in journal.entries(ledger, kind="move"):
        if entry.number > after and entry.parameters["what"] == "released" and entry.at:
            until = entry.at.timestamp()
            found[entry.subject] = (until - (entry.after or {})["held"], until)
    return found


def told_by_passes(ledger: Ledger, after: int, what: str) -> list[float]:
    """What the journal has of last passes: by how many seconds they ended `late`, how many sessions `came_in`."""
    carried = [
        entry.after or {}
        for entry in journal.entries(ledger, kind="move")
        if entry.number > after and entry.parameters["what"] == "carried"
    ]
    return sorted(each[what] for each in carried if what in each)


def table(columns: Mapping[str, Figures]) -> list[str]:
    """As Markdown, a column for each title."""
    lines = [f"| | {' | '.join(columns)} | aim |", f"|---|{'---|' * len(columns)}---|"]
    for what, title in TITLES.items():
        for name, share, seconds in zip(SHARES, SHARES.values(), AIMS[what], strict=True):
            values = [f"{at_share(one[what], share):.1f}" for one in columns.values()]
            lines.append(_row(f"{title}: {name}", values, "" if seconds is None else f"{seconds:.0f}"))
    for title, aim, tell in ROWS:
        lines.append(_row(title, [str(tell(one)) for one in columns.values()], aim))
    return lines


def at_share(values: Sequence[float], share: float) -> float:
    """The value that so great a share of them does not pass."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else math.nan


def _row(title: str, values: Sequence[str], aim: str) -> str:
    return f"| {title} | {' | '.join(values)} | {aim} |"


def _held(one: Figures) -> str:
    return f"{statistics.median(one['held']):.1f}, {max(one['held']):.1f}" if one["held"] else ""


ROWS: tuple[tuple[str, str, Callable[[Figures], Any]], ...] = (
    ("moves", "", lambda one: one["moves"]),
    ("outages", "", lambda one: len(one["outages"])),
    ("mail was held, s: median, worst", "", _held),
    ("last passes that ended after the instant that logins were told first", "", lambda one: len(one["late"])),
    ("moves in which a user came in before that, for a second at most", "", lambda one: len(one["came_in"])),
    ("messages that came during a move", "", lambda one: len(one["delays"])),
    ("acts that were answered", "", lambda one: f"{one['verdict']['acts']:,}"),
    ("messages counted", "", lambda one: f"{one['verdict']['messages']:,}"),
    ("lost", "0", lambda one: len(one["verdict"]["lost"])),
    ("doubled", "0", lambda one: len(one["verdict"]["doubled"])),
    ("flags, moves and removals undone", "0", lambda one: len(one["verdict"]["undone"])),
    ("UIDs that meant another message", "0", lambda one: len(one["verdict"]["clashes"])),
    ("programs that were still refused at the end", "0", lambda one: len(one["verdict"]["unfinished"])),
)

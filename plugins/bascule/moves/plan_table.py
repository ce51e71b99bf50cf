"""The plan of moves as a table for a spreadsheet, and the edited table read back: all of it or nothing."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from bascule.ledger.waves import Planned
from bascule.moves.hours import instant, on_clocks
from bascule.problems import table
from bascule.text.harmless import harmless, storable

COLUMNS = ["account", "wave", "start", "shares with", "note"]
NEEDED = COLUMNS[:3]
START = "%Y-%m-%d %H:%M"
YEARS = range(2000, 3000)  # others are slips of the pen, and the first and last hours of all have no UTC
WAVE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


class PlanRefused(Exception):
    """Raised when a table makes no plan; `reasons` has a sentence for each line that is wrong."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True)
class _Row:
    """One line of the table, as it stands there."""

    line: int
    account: str
    wave: str
    start: str
    note: str

    def wrong(self, what: str) -> str:
        return f"line {self.line} ({harmless(self.account)[:100]}): {what}"


def as_csv(plan: Iterable[Planned], partners: Mapping[str, Collection[str]], zone: str) -> bytes:
    """The plan, times on the clocks of this zone; `partners`: with whom each account shares something."""
    shares = {account: " ".join(sorted(others)) for account, others in partners.items()}
    rows = [
        [each.account, each.wave, shown(each.starts_at, zone), shares.get(each.account, ""), each.note]
        for each in plan
    ]  # fmt: skip
    return table.with_mark(table.as_csv(COLUMNS, rows))


def as_text(plan: Sequence[Planned], zone: str) -> str:
    """The plan in lines, for a terminal."""
    if not plan:
        return "there is no plan: `plan propose` makes one"
    lines = []
    for (wave, note), group in groupby(plan, key=lambda each: (each.wave, each.note)):
        several = list(group)
        names = ", ".join(each.account for each in several)
        head = f"wave {wave}, from {shown(several[0].starts_at, zone)}" if wave else "without a wave"
        lines += [f"{head}: {len(several)}{f' ({note})' if note else ''}", f"    {names}"]
    return "\n".join(map(harmless, lines))


def shown(at: datetime | None, zone: str) -> str:
    """The ledger's instant as the table has it."""
    return on_clocks(at, zone).strftime(START) if at else ""


def read(data: bytes, zone: str, known: Collection[str]) -> list[Planned]:
    """The plan that the table makes; `known`: the accounts of the site. Raises PlanRefused with every reason."""
    try:
        found = table.read(data, NEEDED)
    except table.BadTable as error:
        raise PlanRefused(str(error).splitlines()) from None
    rows = [
        _Row(line, *(table.unguarded(row.get(name, "").strip()) for name in (*NEEDED, "note"))) for line, row in found
    ]
    reasons = [row.wrong(what) for row in rows if (what := _why_wrong(row, zone, known))]
    if reasons := reasons or [*_twice(rows), *_waves_with_two_starts(rows)]:
        raise PlanRefused(reasons)
    return [_planned(row, zone) for row in rows]


def _why_wrong(row: _Row, zone: str, known: Collection[str]) -> str:
    if row.account not in known:
        return "no account of the site has this name"
    if bool(row.wave) != bool(row.start):
        return "it needs both a wave and a start, or neither: then it waits until somebody says when"
    if row.wave and not WAVE.fullmatch(row.wave):
        return f"{harmless(row.wave)[:40]!r} is no wave's name: letters, digits, `.`, `_` and `-`, 32 at most"
    words = _why_no_start(row.start, zone) if row.start else ""
    return f"{harmless(row.start)[:40]!r} is no start: {words}" if words else ""


def _why_no_start(text: str, zone: str) -> str:
    try:
        here = datetime.strptime(text, START)
    except ValueError:
        return "write it as 2026-12-31 09:00"
    if here.year not in YEARS:
        return f"the year must be between {YEARS[0]} and {YEARS[-1]}"
    try:
        instant(here, zone)
    except ValueError as error:
        return str(error)
    return ""


def _planned(row: _Row, zone: str) -> Planned:
    if row.wave:
        return Planned(row.account, row.wave, _start(row.start, zone))
    return Planned(row.account, note=storable(row.note))


def _start(text: str, zone: str) -> datetime:
    return instant(datetime.strptime(text, START), zone)


def _twice(rows: Sequence[_Row]) -> list[str]:
    first: dict[str, int] = {}
    return [
        row.wrong(f"it stands in line {first[row.account]} already")
        for row in rows
        if first.setdefault(row.account, row.line) != row.line
    ]


def _waves_with_two_starts(rows: Sequence[_Row]) -> list[str]:
    first: dict[str, _Row] = {}
    return [
        row.wrong(f"wave {row.wave} starts at {row.start} here, and at {other.start} in line {other.line}")
        for row in rows
        if row.wave and (other := first.setdefault(row.wave, row)).start != row.start
    ]

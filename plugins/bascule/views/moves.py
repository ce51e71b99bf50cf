"""The moves of single accounts, as ledger and journal have them: who moved, with which wave, and what it cost them."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

import sqlalchemy as sa

from bascule.ledger import Ledger, journal, waves
from bascule.ledger.moves import ENDS, MoveRow, State
from bascule.text.harmless import harmless

KIND = "move"  # in the journal
MOVED, BACK, NOT_MOVED, UNDER_WAY = "moved", "moved back", "not moved", "being moved"


@dataclass(frozen=True)
class Moved:
    """One move. `held`: seconds in which its mail waited; `out`: from its last session's end until logins were let in.

    Both are None where it did not come so far. `failures`: acts that failed; `why`: how it came to its end.
    """

    account: str
    wave: str
    to: str
    state: str
    began: datetime
    ended: datetime | None
    held: float | None
    out: float | None
    why: str
    failures: Sequence[str]


@dataclass(frozen=True)
class Wave:
    """The moves of one wave of the plan; without a name: those of accounts that were in none."""

    name: str
    starts_at: datetime | None
    moves: Sequence[Moved]

    @property
    def counts(self) -> Counter[str]:
        return Counter(each.state for each in self.moves)

    @property
    def began(self) -> datetime:
        return min(each.began for each in self.moves)

    @property
    def ended(self) -> datetime | None:
        return max((each.ended for each in self.moves if each.ended), default=None)

    @property
    def held(self) -> list[float]:
        return seconds(self.moves, lambda each: each.held)

    @property
    def out(self) -> list[float]:
        return seconds(self.moves, lambda each: each.out)


def seconds(moves: Iterable[Moved], of: Callable[[Moved], float | None]) -> list[float]:
    return sorted(value for each in moves if (value := of(each)) is not None)


def told(ledger: Ledger) -> list[Moved]:
    """Every move, the oldest first."""
    wave_of = {each.account: each.wave for each in waves.plan(ledger)}
    with ledger.reading() as session:
        rows = list(session.scalars(sa.select(MoveRow).order_by(MoveRow.id)))
    entries: dict[str, list[journal.Entry]] = {}
    for entry in journal.entries(ledger, kind=KIND):
        entries.setdefault(entry.subject, []).append(entry)
    following: dict[str, datetime] = {}  # when the next move of the account began
    found = []
    for row in reversed(rows):
        until = following.get(row.account, datetime.max)
        own = [each for each in entries.get(row.account, ()) if each.at and row.began_at <= each.at < until]
        found.append(_moved(row, wave_of.get(row.account, ""), own))
        following[row.account] = row.began_at
    return found[::-1]


def by_wave(ledger: Ledger, moves: Sequence[Moved]) -> list[Wave]:
    """The same by the waves of the plan, in the order in which they began."""
    starts = {each.wave: each.starts_at for each in waves.plan(ledger)}
    names = dict.fromkeys(each.wave for each in sorted(moves, key=lambda each: each.began))
    return [Wave(name, starts.get(name), [each for each in moves if each.wave == name]) for name in names]


def lines(moves: Sequence[Moved]) -> list[str]:
    """In sentences, for the log of the final report."""
    if not moves:
        return []
    counts = Counter(each.state for each in moves)
    found = [f"moves of single accounts: {', '.join(f'{count} {state}' for state, count in counts.items())}"]
    for what, times in (
        ("mail was held for", seconds(moves, lambda each: each.held)),
        ("logins were held back for", seconds(moves, lambda each: each.out)),
    ):
        if times:
            found.append(f"{what} {median(times):.1f} s (median), {times[-1]:.1f} s at most")
    found += [f"{each.account}: {each.state}" + (f": {each.why}" if each.why else "") for each in moves
              if each.state != MOVED]  # fmt: skip
    found += [f"{each.account}: {failure}" for each in moves for failure in each.failures]
    return [*map(harmless, found)]


def _moved(row: MoveRow, wave: str, entries: Sequence[journal.Entry]) -> Moved:
    """`entries`: the journal's of this move. `wave`: of today's plan, where they don't say in which it began."""
    what = {name: [each for each in entries if each.parameters.get("what") == name]
            for name in ("intent", "flipped", "carried", "released", "failed")}  # fmt: skip
    wave = next((each.parameters["wave"] for each in what["intent"] if "wave" in each.parameters), wave)
    held = [(each.after or {}).get("held") for each in what["released"]]
    return Moved(
        row.account, wave, row.to, _state(row), row.began_at, row.ended_at, held[-1] if held else None,
        _out(what["flipped"], what["carried"]), row.note, [each.note for each in what["failed"]],
    )  # fmt: skip


def _out(flipped: Sequence[journal.Entry], carried: Sequence[journal.Entry]) -> float | None:
    """From the first flip, right after which sessions are ended, until logins were let in after the last pass."""
    let_in = [until for each in carried if (until := (each.after or {}).get("let_in"))]
    if not flipped or not let_in or not flipped[0].at:
        return None
    return round(max(0.0, float(let_in[-1]) - flipped[0].at.replace(tzinfo=UTC).timestamp()), 1)


def _state(row: MoveRow) -> str:
    if row.state not in ENDS:
        return UNDER_WAY
    if row.state == State.UNDONE:
        return NOT_MOVED
    return MOVED if row.to == "new" else BACK

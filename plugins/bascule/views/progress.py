"""How far the mailboxes are: by state, over time, how fast, which are slow, and when all of them will be done."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from bascule.ledger import Ledger, moves
from bascule.ledger.base import now
from bascule.ledger.mailboxes import MailboxRow
from bascule.ledger.passes import PassRow
from bascule.ledger.problems import ProblemRow

DONE = ("verified", "kept on old")
RATE_OVER = timedelta(minutes=5)
SLOWEST = 8
POINTS = 120  # of the curve
STATES = ("verified", "kept on old", "copying", "asking", "failed", "waiting")  # as a bar shows them


@dataclass(frozen=True)
class Mailboxes:
    """Every mailbox's state, and when its last pass, or look, ended. `asking`: accounts with an open problem.

    `moved`: those that have moved on their own: no phase of the day works on them.
    """

    states: dict[str, str] = field(default_factory=dict)
    ended: dict[str, datetime] = field(default_factory=dict)
    asking: frozenset[str] = frozenset()
    moved: frozenset[str] = frozenset()
    messages: int = 0
    bytes: int = 0
    _done: dict[datetime, frozenset[str]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def total(self) -> int:
        return len(self.states)

    def done_since(self, moment: datetime) -> tuple[int, datetime | None]:
        """How many have been brought to their end since then, and when the last one was."""
        done = self.done(moment)
        without = sum(self._needs_none(name) and name not in done for name in self.states)
        return len(done) + without, max((self.ended[name] for name in done), default=None)

    def left(self, since: datetime) -> int:
        """How many wait for their pass since then."""
        done = self.done(since)
        return sum(not self._needs_none(name) and name not in done for name in self.states)

    def _needs_none(self, name: str) -> bool:
        """Whether the day has no pass over this mailbox."""
        return self.states[name] == "kept on old" or name in self.moved

    def done(self, since: datetime) -> frozenset[str]:
        """Those that have been brought to their end since then; found once, since a page asks several times."""
        if since not in self._done:
            ended = (name for name, at in self.ended.items() if at >= since)
            self._done[since] = frozenset(name for name in ended if self.states.get(name) in DONE)
        return self._done[since]

    def is_done(self, account: str, since: datetime) -> bool:
        """The same for one, without finding the others."""
        ended = self.ended.get(account)
        return self.states.get(account) in DONE and ended is not None and ended >= since

    def shown(self, since: datetime | None = None) -> dict[str, str]:
        """Each mailbox's state among STATES; those that wait for their pass of the phase that began then: `waiting`."""
        return {name: self._shown(name, state, since) for name, state in self.states.items()}

    def by_state(self, since: datetime | None = None) -> Counter[str]:
        """How many are in each of STATES."""
        return Counter(self.shown(since).values())

    def _shown(self, name: str, state: str, since: datetime | None) -> str:
        if name in self.asking and state != "kept on old":
            return "asking"
        if state == "verified" and since is not None and self.ended.get(name, datetime.min) < since:
            return state if name in self.moved else "waiting"
        return {"problems": "asking", "unknown": "waiting"}.get(state, state)


@dataclass(frozen=True)
class Point:
    """So many mailboxes were done at this moment."""

    at: datetime
    done: int


@dataclass(frozen=True)
class Curve:
    """Mailboxes done over time. `expected`: when all of them will be, at the pace so far."""

    begin: datetime
    end: datetime
    total: int
    points: Sequence[Point]
    expected: datetime | None = None


@dataclass(frozen=True)
class Rate:
    """What was copied in a second over the last minutes."""

    messages: float
    bytes: float


@dataclass(frozen=True)
class Slow:
    """A pass that takes, or took, long."""

    account: str
    seconds: float
    copied: int
    bytes: int
    runs: bool


def mailboxes(ledger: Ledger) -> Mailboxes:
    """Where every mailbox stands: the one query over all of them."""
    columns = (
        MailboxRow.account, MailboxRow.state, MailboxRow.last_pass_at, MailboxRow.looked_at, MailboxRow.messages,
        MailboxRow.bytes,
    )  # fmt: skip
    asked = sa.select(ProblemRow.account).where(ProblemRow.state == "open").distinct()
    with ledger.reading() as session:
        rows = session.execute(sa.select(*columns)).all()
        asking = frozenset(session.scalars(asked))
    states = {account: state for account, state, *_ in rows}
    return Mailboxes(
        states=states,
        ended={account: ended for account, _, passed, looked, *_ in rows if (ended := _ended(passed, looked))},
        asking=asking & states.keys(),
        moved=frozenset(moves.moved(ledger) & states.keys()),
        messages=sum(messages for *_, messages, _ in rows),
        bytes=sum(size for *_, size in rows),
    )


def _ended(passed: datetime | None, looked: datetime | None) -> datetime | None:
    """When it was last known that new has all of it: by a pass, or by a look that found nothing to do."""
    return max(passed, looked) if passed and looked else passed or looked


def curve(found: Mailboxes, since: datetime, until: datetime | None, at: datetime | None = None) -> Curve:
    """How many mailboxes had their last pass of this phase by when, and when the last one will have it."""
    at = at or now()
    end = until or at
    done = found.done(since)
    ends = sorted(found.ended[name] for name in done)
    points = [Point(since, 0), *_thinned([Point(moment, number) for number, moment in enumerate(ends, 1)])]
    points.append(Point(max(end, ends[-1]) if ends else end, len(ends)))
    left = found.left(since) - len(found.asking)  # people's answers can't be forecast
    expected = None
    if until is None and ends and left > 0:
        expected = at + (at - since) / len(ends) * left
    return Curve(since, max(end, since + timedelta(seconds=1)), found.total, points, expected)


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    step = max(1, len(points) // POINTS)
    kept = points[step - 1 :: step]
    return [*kept, points[-1]] if points and kept[-1] is not points[-1] else kept


def rate(ledger: Ledger, at: datetime | None = None, over: timedelta = RATE_OVER) -> Rate:
    """Messages and bytes in a second, of the passes that were at work in the last minutes."""
    at = at or now()
    with ledger.reading() as session:
        rows = session.scalars(sa.select(PassRow).where(PassRow.seen_at > at - over)).all()
    shares = [(row, _overlap(row.began_at, row.seen_at, at - over, at)) for row in rows]
    seconds = over.total_seconds()
    return Rate(
        sum(row.copied * share for row, share in shares) / seconds,
        sum(row.bytes * share for row, share in shares) / seconds,
    )


def _overlap(began: datetime, seen: datetime, first: datetime, last: datetime) -> float:
    """Which part of a pass lies between two moments."""
    length = (seen - began).total_seconds()
    inside = (min(seen, last) - max(began, first)).total_seconds()
    return max(0.0, min(1.0, inside / length)) if length > 0 else 1.0


def slowest(ledger: Ledger, since: datetime, at: datetime | None = None) -> list[Slow]:
    """The passes since then that take or took longest."""
    at = at or now()
    with ledger.reading() as session:
        since_then = sa.select(PassRow).where(PassRow.seen_at >= since)
        ended = session.scalars(
            since_then.where(PassRow.ended_at.is_not(None)).order_by(PassRow.seconds.desc()).limit(SLOWEST)
        ).all()
        open_ones = session.scalars(since_then.where(PassRow.ended_at.is_(None))).all()
    found = [
        Slow(
            row.account,
            row.seconds if row.ended_at else (at - row.began_at).total_seconds(),
            row.copied,
            row.bytes,
            row.ended_at is None,
        )
        for row in [*ended, *open_ones]
    ]
    return sorted(found, key=lambda slow: slow.seconds, reverse=True)[:SLOWEST]

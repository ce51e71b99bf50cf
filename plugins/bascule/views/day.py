"""The day as the ledger has it: phases, their tasks, the outage, what was forecast, what waits and what failed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa

from bascule.ledger import Ledger, journal, outage
from bascule.ledger.base import now
from bascule.ledger.task_log import TaskRow
from bascule.views import names
from bascule.views.forecast import Forecast, forecast
from bascule.views.progress import Mailboxes

Scene = Literal["before", "day"]

BEFORE = ("prepare", "problems")
DAY = ("freeze", "transfer", "cutover", "drain")
MOVES = "move"  # goes on beside both, and has a page of its own
MOVE_ACCOUNT = "account.move"
# The tasks of a phase that work on one account each, and those of which one shows how far all mailboxes are.
PER_ACCOUNT = (
    "mailbox.sync",
    "mailbox.review",
    "mailbox.carry_back",
    "repair_filters.review",
    "repair_calendars.review",
    MOVE_ACCOUNT,
)
WHOLE_MAILBOXES = ("mailbox.sync",)
NOT_SHOWN = ("begin", "finish")


@dataclass(frozen=True)
class Span:
    """From when to when; still going on without an end."""

    began: datetime
    ended: datetime | None = None

    def length(self, at: datetime) -> timedelta:
        """At least nothing: a clock may be set back."""
        return max((self.ended or at) - self.began, timedelta())


@dataclass(frozen=True)
class Task:
    """One task of a phase, or all of a mapped one: its tries as spans with how each ended, and its last sentence."""

    phase: str
    name: str
    state: str  # as TaskState, or "to come"
    tries: Sequence[tuple[Span, str]] = ()
    sentence: str = ""
    done: int = 0
    of: int = 0  # how many there are of a mapped one; 0: it is none

    @property
    def line(self) -> names.Line:
        return names.line(self.phase, self.name)

    @property
    def span(self) -> Span | None:
        return Span(self.tries[0][0].began, self.tries[-1][0].ended) if self.tries else None


@dataclass(frozen=True)
class Phase:
    """One phase's last run. `state`: to come, running, failed, asking, done."""

    name: str
    run: str
    state: str
    span: Span | None
    tasks: Sequence[Task] = ()


@dataclass(frozen=True)
class Attention:
    """Something that waits for a person: a task that asks, or one that failed, with its sentence."""

    phase: str
    run: str
    task: str  # with the index of a mapped one in brackets
    about: str
    state: str
    sentence: str
    since: datetime

    @property
    def name(self) -> str:
        """The task's id without its index."""
        return self.task.partition("[")[0]

    @property
    def index(self) -> int:
        return int(self.task.partition("[")[2].rstrip("]") or -1)


@dataclass(frozen=True)
class Day:
    """Everything that the timeline shows."""

    scene: Scene
    begin: datetime
    end: datetime  # of the time axis
    at: datetime  # now
    phases: Sequence[Phase]
    outage: Span | None = None
    outages_before: Sequence[Span] = ()  # of earlier tries of the day, which came to their end by a way back
    forecast: Forecast | None = None
    attention: Sequence[Attention] = ()
    go: journal.Entry | None = None

    @property
    def way_back(self) -> Phase | None:
        """Breaks off whatever went before it, once it has begun."""
        return next((phase for phase in self.phases if phase.span and phase.name == "rollback"), None)

    @property
    def running(self) -> Phase | None:
        begun = [self.way_back] if self.way_back else [phase for phase in self.phases if phase.span]
        return next((phase for phase in begun if phase.state != "done"), None)

    @property
    def forecast_span(self) -> Span | None:
        """The outage as it was forecast, from its real beginning."""
        if self.outage is None or self.forecast is None:
            return None
        return Span(self.outage.began, self.outage.began + timedelta(seconds=self.forecast.seconds))

    @property
    def is_over(self) -> bool:
        last = self.way_back or self.phases[-1]
        return self.scene == "day" and last.state == "done"


@dataclass
class _Run:
    """One run of a phase, as the journal marks it; `again`: cleared after a way back, `until`: when that was done."""

    phase: str
    run: str
    began: datetime
    ended: datetime | None = None
    again: bool = False
    until: datetime | None = None
    marks: list[journal.Entry] = field(default_factory=list)


def day(ledger: Ledger, mailboxes: Mailboxes, scene: Scene | None = None, at: datetime | None = None) -> Day:
    """The day (or what was done before it) until now. `scene`: which of both; the one that goes on, unless given."""
    at = at or now()
    runs = _runs(journal.entries(ledger, kind="phase"))
    freezes = [run for run in runs if run.phase == "freeze"]
    freeze = freezes[-1] if freezes else None
    latest = max(runs, key=lambda run: run.began, default=None)
    if scene is None:
        scene = "day" if latest and latest.phase not in BEFORE and freeze else "before"
    names_shown: tuple[str, ...] = DAY if scene == "day" else BEFORE
    since = freeze.began if scene == "day" and freeze else None
    last = {run.phase: run for run in runs if since is None or run.began >= since}
    if scene == "day" and "rollback" in last:
        names_shown = (*DAY, "rollback")
    rows = _tasks(ledger, [last[name] for name in (*names_shown, MOVES) if name in last])
    phases = [_phase(name, last.get(name), rows, mailboxes) for name in names_shown]
    shown = [phase.span for phase in phases if phase.span]
    begin = min((span.began for span in shown), default=at)
    over = bool(shown) and all(span.ended for span in shown) and phases[-1].state == "done"
    end = max((span.ended or at for span in shown), default=at) if over else at
    this, earlier = _outages(ledger, freeze) if scene == "day" and freeze else (None, [])
    return Day(
        scene,
        begin,
        max(end, begin + timedelta(seconds=60)),
        at,
        phases,
        _span(this) if this else None,
        [_span(each) for each in earlier],
        forecast(ledger, this),
        _attention(rows, mailboxes),
        _go(last.get("cutover")),
    )


def _runs(marks: Iterable[journal.Entry]) -> list[_Run]:
    """The runs of all phases, by their beginnings.

    A task `begin` that was cleared begins no other run, unless a way back has come to its end since.
    """
    found: list[_Run] = []
    newest: dict[tuple[str, str], _Run] = {}
    back: datetime | None = None
    for entry in marks:
        if entry.at is None:
            continue
        key, state = (entry.subject, entry.origin.run), (entry.after or {}).get("state")
        known = newest.get(key)
        anew = known and back and known.began < back and state == "started" and entry.subject in DAY
        if known and anew:
            known.until = entry.at
        if known is None or anew:
            newest[key] = known = _Run(*key, entry.at, again=known is not None)
            found.append(known)
        known.marks.append(entry)
        known.ended = entry.at if state == "finished" else None
        back = known.ended or back if entry.subject == "rollback" else back
    return sorted(found, key=lambda run: run.began)


def _go(cutover: _Run | None) -> journal.Entry | None:
    marks = cutover.marks if cutover else []
    return next((entry for entry in reversed(marks) if (entry.after or {}).get("state") == "go"), None)


def _tasks(ledger: Ledger, runs: Sequence[_Run]) -> dict[str, list[TaskRow]]:
    """The tries of the tasks of these runs, by phase and in their order."""
    found: dict[str, list[TaskRow]] = {}
    with ledger.reading() as session:
        for run in runs:
            query = sa.select(TaskRow).where(TaskRow.run == run.run, TaskRow.phase == run.phase)
            if run.again:
                query = query.where(TaskRow.began_at >= run.began)
            if run.until:
                query = query.where(TaskRow.began_at < run.until)
            found[run.phase] = list(session.scalars(query.order_by(TaskRow.began_at, TaskRow.id)))
    return found


def _phase(name: str, run: _Run | None, rows: dict[str, list[TaskRow]], mailboxes: Mailboxes) -> Phase:
    planned = [task for task in names.lines().get(name, {}) if task not in NOT_SHOWN]
    if run is None:
        return Phase(name, "", "to come", None, [Task(name, task, "to come") for task in planned])
    by_task: dict[str, list[TaskRow]] = {}
    for row in rows.get(name, []):
        by_task.setdefault(row.task.partition("[")[0], []).append(row)
    whole = Span(run.began, run.ended)
    tasks = [_task(name, task, by_task.get(task, []), whole, by_task, mailboxes) for task in planned]
    return Phase(name, run.run, _state(run, tasks), whole, tasks)


def _state(run: _Run, tasks: Sequence[Task]) -> str:
    if run.ended:
        return "done"
    states = {task.state for task in tasks}
    return next((state for state in ("failed", "asking") if state in states), "running")


def _task(
    phase: str, name: str, rows: list[TaskRow], whole: Span, by_task: dict[str, list[TaskRow]], mailboxes: Mailboxes
) -> Task:
    latest = _latest(rows)
    state = _worst([row.state for row in latest])
    if name in WHOLE_MAILBOXES and by_task.get("list_accounts"):
        return _all_mailboxes(phase, name, latest, state, whole, _known_which(by_task), mailboxes)
    if not rows:
        return Task(phase, name, "done" if whole.ended else "to come")
    sentence = next((row.sentence for row in reversed(latest) if row.state == state), "")
    if len(latest) == 1 and "[" not in latest[0].task:
        tries = [(Span(row.began_at, row.ended_at), row.state) for row in rows]
        return Task(phase, name, state, tries, sentence)
    span = Span(rows[0].began_at, _end(latest))
    good = sum(row.state == "done" for row in latest)
    return Task(phase, name, state, [(span, state)], sentence, done=good, of=len(latest))


def _all_mailboxes(
    phase: str,
    name: str,
    latest: list[TaskRow],
    state: str,
    whole: Span,
    since: datetime | None,
    mailboxes: Mailboxes,
) -> Task:
    """How far the mailboxes are since it is known which of them need a pass; done, whatever failed, with the phase."""
    if since is None:
        return Task(phase, name, "to come")
    done, last = mailboxes.done_since(whole.began)
    complete = whole.ended is not None or (mailboxes.total > 0 and done >= mailboxes.total)
    end = min(last, whole.ended) if last and whole.ended else last or whole.ended  # passes may have come later
    ended = max(end, since) if complete and end else None  # nobody needed a pass: the look itself was the last word
    if whole.ended or state in ("to come", "done", "skipped"):
        state = "done" if complete else "running"
    return Task(phase, name, state, [(Span(since, ended), state)], done=done, of=mailboxes.total)


def _known_which(by_task: dict[str, list[TaskRow]]) -> datetime | None:
    """The end of the first good look at the mailboxes; of a day before there were looks, of the list of accounts."""
    looks = by_task.get("look_at_mailboxes")
    if looks is None:
        return by_task["list_accounts"][-1].ended_at
    return next((row.ended_at for row in looks if row.state == "done"), None)


def _latest(rows: Sequence[TaskRow]) -> list[TaskRow]:
    """The last try of each task, or of each one of a mapped task."""
    return list({row.task: row for row in rows}.values())


def _end(rows: Sequence[TaskRow]) -> datetime | None:
    ends = [row.ended_at for row in rows]
    return None if None in ends else max((end for end in ends if end), default=None)


def _worst(states: Sequence[str]) -> str:
    order = ("failed", "asking", "again", "waiting", "running", "done", "skipped")
    return next((state for state in order if state in states), "to come")


def _outages(ledger: Ledger, freeze: _Run) -> tuple[outage.Outage | None, list[outage.Outage]]:
    """The outage of this try of the day, and those of its earlier ones, which came to their end by a way back."""
    found = outage.outages(ledger)
    this = outage.of_try(found, freeze.marks[0].number)
    return this, found[:-1] if this else found


def _span(of: outage.Outage) -> Span:
    return Span(of.began, of.ended)


def _attention(rows: dict[str, list[TaskRow]], mailboxes: Mailboxes) -> list[Attention]:
    """What asks or has failed, the failures first; a task that began anew since has no old failure."""
    found = [
        Attention(row.phase, row.run, row.task, row.about, row.state, row.sentence, row.ended_at or row.began_at)
        for phase in rows.values()
        for row in _latest(phase)
        if row.state in ("failed", "asking") and not _is_settled(row, mailboxes)
    ]
    return sorted(found, key=lambda each: (each.state != "failed", each.since))


def _is_settled(row: TaskRow, mailboxes: Mailboxes) -> bool:
    """Whether a later pass has seen to it; of a move the mailbox is the smaller part."""
    is_move = row.task.startswith(MOVE_ACCOUNT)
    return bool(row.about) and not is_move and mailboxes.is_done(row.about, row.began_at)

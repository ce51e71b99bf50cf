"""What each task of a phase does, for the timeline: when a try began and ended, how, and its sentence.

Airflow knows it too, but what stands here outlives Airflow's database and can be read without it. Of a task of one
account there is a row only when it asked or failed: thousands of good ones are told by their mailboxes.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, aliased, mapped_column

from bascule.ledger.base import Base, Ledger, now
from bascule.ledger.journal import Origin
from bascule.text.harmless import storable

TaskState = Literal[
    "running",
    "asking",  # a person is asked
    "waiting",  # for something that comes by itself: a queue, other tasks
    "done",
    "again",  # it failed and is tried again
    "failed",
    "skipped",  # left for a later run
]


class TaskRow(Base):
    """One try of one task. `about`: the account or the functional test of a mapped one."""

    __tablename__ = "task"
    __table_args__ = (sa.UniqueConstraint("run", "phase", "task", "attempt"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    phase: Mapped[str] = mapped_column(sa.String(64))
    run: Mapped[str] = mapped_column(sa.String(255))
    task: Mapped[str] = mapped_column(sa.String(255))
    attempt: Mapped[int]
    about: Mapped[str] = mapped_column(sa.String(255), default="")
    state: Mapped[str] = mapped_column(sa.String(16), index=True)
    sentence: Mapped[str] = mapped_column(sa.Text, default="")
    began_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]


@dataclass(frozen=True)
class Try:
    """One try of one task. `about`: see `TaskRow`; `of_many`: one of thousands, of which only the others are noted."""

    origin: Origin
    attempt: int
    about: str = ""
    of_many: bool = False


def note(ledger: Ledger, this: Try, state: TaskState, sentence: str = "") -> None:
    """Write down how far this try is."""
    unremarkable = this.of_many and state in ("running", "done", "skipped")
    if unremarkable and not _has_rows(ledger, this.origin):
        return
    ended = now() if state in ("done", "again", "failed", "skipped") else None
    values = {"state": state, "sentence": storable(sentence)[:4000], "ended_at": ended}
    with ledger.session() as session:
        known = session.execute(sa.update(TaskRow).where(*_is(this)).values(**values))
        if known.rowcount == 0:  # type: ignore[attr-defined]
            origin, about = this.origin, this.about
            known_by = {"phase": origin.phase, "run": origin.run, "task": origin.task, "attempt": this.attempt}
            session.add(TaskRow(**known_by, about=about, began_at=now(), **values))


def count(ledger: Ledger, origin: Origin, name: str, state: TaskState) -> int:
    """How many tries of a task, or of a mapped one's many, are in this state in the run of this origin."""
    with ledger.reading() as session:
        return session.scalar(sa.select(sa.func.count()).where(*_in_run(origin, name, state))) or 0


NOT_BEGUN = "nothing was begun: "  # with what the sentence of a try begins that is no failure of what it is about


def failed(ledger: Ledger, origin: Origin, name: str, since: datetime | None) -> set[str]:
    """What those of a mapped task's many are about whose last try has failed, in the run of this origin, since then.

    Without those that had begun nothing.
    """
    later = aliased(TaskRow)
    of_same_task = (later.run == TaskRow.run, later.phase == TaskRow.phase, later.task == TaskRow.task)
    is_last = ~sa.exists().where(*of_same_task, later.attempt > TaskRow.attempt)
    has_failed = (*_in_run(origin, name, "failed"), ~TaskRow.sentence.startswith(NOT_BEGUN))
    query = sa.select(TaskRow.about).where(*has_failed, is_last)
    if since is not None:
        query = query.where(TaskRow.ended_at > since)
    with ledger.reading() as session:
        return {*session.scalars(query)}


def _in_run(origin: Origin, name: str, state: TaskState) -> tuple[sa.ColumnElement[bool], ...]:
    of_task = sa.or_(TaskRow.task == name, TaskRow.task.startswith(f"{name}[", autoescape=True))
    return TaskRow.run == origin.run, TaskRow.phase == origin.phase, TaskRow.state == state, of_task


def began(ledger: Ledger, phase: str, task: str, run: str | None = None) -> datetime | None:
    """When the last try of this task began, in this run or in any."""
    query = sa.select(sa.func.max(TaskRow.began_at)).where(TaskRow.phase == phase, TaskRow.task == task)
    if run is not None:
        query = query.where(TaskRow.run == run)
    with ledger.reading() as session:
        return session.scalar(query)


def lengths(ledger: Ledger, phase: str, task: str) -> list[tuple[str, float]]:
    """Run and seconds of the good tries of a task, in all runs of the phase, the oldest first."""
    good = (TaskRow.phase == phase, TaskRow.task == task, TaskRow.state == "done")
    query = sa.select(TaskRow.run, TaskRow.began_at, TaskRow.ended_at).where(*good).order_by(TaskRow.id)
    with ledger.reading() as session:
        return [(run, (ended - began).total_seconds()) for run, began, ended in session.execute(query) if ended]


def _has_rows(ledger: Ledger, origin: Origin) -> bool:
    """Whether a try of this task is noted: then its later ones are too."""
    of_task = (TaskRow.run == origin.run, TaskRow.phase == origin.phase, TaskRow.task == origin.task)
    with ledger.reading() as session:
        return session.scalar(sa.select(TaskRow.id).where(*of_task).limit(1)) is not None


def _is(this: Try) -> tuple[sa.ColumnElement[bool], ...]:
    origin = this.origin
    return (
        TaskRow.run == origin.run,
        TaskRow.phase == origin.phase,
        TaskRow.task == origin.task,
        TaskRow.attempt == this.attempt,
    )

"""Problems, the proposals for them, and the decisions that people took.

A problem is known by account, room, kind and subject (a folder's name, a message's folder and UID, a filter's name),
so that finding it again is no second problem. A decision holds as long as the problem's facts stay the same.
"""

import enum
import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from bascule.ledger import journal
from bascule.ledger.base import Base, Ledger, now
from bascule.text import storable

Room = Literal["mailbox", "sieve", "calendar", "account"]
State = Literal["open", "decided", "settled", "withdrawn"]


class Option(enum.StrEnum):
    """What a person may choose for a problem."""

    APPLY = "Apply the proposals"
    LEAVE_OUT = "Leave these out"
    LOOK_AGAIN = "I repaired it by hand, look again"
    KEEP_ON_OLD = "Keep this mailbox on the old server"


@dataclass(frozen=True)
class Problem:
    """Something that can't be carried over unchanged.

    `facts` are what a decision stands on (when they change, it is asked again); `details` may change freely.
    `proposal` is what Bascule would do: {"action": ..., and the values that a person may edit}.
    """

    account: str
    room: Room
    kind: str
    subject: str
    explanation: str
    facts: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    server_words: str = ""
    proposal: dict[str, Any] = field(default_factory=dict)
    state: State = "open"
    id: int = 0


@dataclass(frozen=True)
class Decision:
    """What a person chose for one problem: the option, the values (the proposal as edited), who, when, how it came."""

    problem_id: int
    option: Option
    values: dict[str, Any]
    decided_by: str
    decided_at: datetime
    source: str  # "page", "csv", "standing", "answers"


AS_IT_IS = "as it is"  # in details: the new name that carries a folder with the old one unchanged


def is_folder_name(problem: Problem) -> bool:
    """Whether the problem is about what a folder is called, so that its proposal is a new name."""
    return problem.room == "mailbox" and problem.kind.startswith("folder-name")


class ProblemRow(Base):
    __tablename__ = "problem"
    __table_args__ = (sa.UniqueConstraint("account", "room", "kind", "subject_hash"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    account: Mapped[str] = mapped_column(sa.String(255), index=True)
    room: Mapped[str] = mapped_column(sa.String(16))
    kind: Mapped[str] = mapped_column(sa.String(64))
    subject: Mapped[str] = mapped_column(sa.Text)
    subject_hash: Mapped[str] = mapped_column(sa.String(64))
    explanation: Mapped[str] = mapped_column(sa.Text)
    facts: Mapped[dict[str, Any]]
    facts_hash: Mapped[str] = mapped_column(sa.String(64))
    details: Mapped[dict[str, Any]]
    server_words: Mapped[str] = mapped_column(sa.Text)
    proposal: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(sa.String(16), index=True)
    found_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class DecisionRow(Base):
    __tablename__ = "decision"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    problem_id: Mapped[int] = mapped_column(sa.ForeignKey("problem.id"), index=True)
    facts_hash: Mapped[str] = mapped_column(sa.String(64))
    option: Mapped[str] = mapped_column(sa.String(64))
    values: Mapped[dict[str, Any]]
    decided_by: Mapped[str] = mapped_column(sa.Text)
    decided_at: Mapped[datetime]
    source: Mapped[str] = mapped_column(sa.String(16))
    journal_number: Mapped[int]


def report(session: Session, problem: Problem) -> int:
    """Write a problem down, or meet it again; return its id. A decision on the same facts stays in force."""
    problem = replace(
        problem,
        subject=storable(problem.subject),
        explanation=storable(problem.explanation),
        server_words=storable(problem.server_words),
    )
    subject_hash, facts_hash = _digest(problem.subject), _digest(problem.facts)
    row = session.scalars(
        sa.select(ProblemRow).where(
            ProblemRow.account == problem.account,
            ProblemRow.room == problem.room,
            ProblemRow.kind == problem.kind,
            ProblemRow.subject_hash == subject_hash,
        )
    ).first()
    if row is None:
        row = ProblemRow(
            account=problem.account,
            room=problem.room,
            kind=problem.kind,
            subject=problem.subject,
            subject_hash=subject_hash,
            state="open",
            found_at=now(),
        )
        session.add(row)
    elif row.facts_hash != facts_hash or row.state == "withdrawn":
        row.state = "open"
    row.explanation, row.facts, row.facts_hash = problem.explanation, problem.facts, facts_hash
    row.details, row.server_words, row.proposal = problem.details, problem.server_words, problem.proposal
    row.seen_at = now()
    session.flush()
    return row.id


def ask_again(session: Session, problem_id: int) -> None:
    """What was settled has happened once more, with the same facts: it is another event, so a person is asked anew."""
    row = session.get(ProblemRow, problem_id)
    if row is not None and row.state == "settled":
        row.state = "open"


def withdraw_unseen(
    session: Session, account: str, room: Room, seen: Collection[int], states: Sequence[State] = ("open", "decided")
) -> int:
    """After a complete look: problems of this room that were not met again are gone. Returns how many."""
    rows = session.scalars(
        sa.select(ProblemRow).where(
            ProblemRow.account == account, ProblemRow.room == room, ProblemRow.state.in_(states)
        )
    )
    gone = [row for row in rows if row.id not in seen]
    for row in gone:
        row.state = "withdrawn"
    return len(gone)


def problems(
    ledger: Ledger, *, account: str | None = None, room: Room | None = None, states: Sequence[State] = ("open",)
) -> list[Problem]:
    """The problems in these states, by account and in the order in which they were found."""
    query = sa.select(ProblemRow).where(ProblemRow.state.in_(states)).order_by(ProblemRow.account, ProblemRow.id)
    if account is not None:
        query = query.where(ProblemRow.account == account)
    if room is not None:
        query = query.where(ProblemRow.room == room)
    with ledger.reading() as session:
        return [_problem(row) for row in session.scalars(query)]


def decide(
    session: Session,
    problem_id: int,
    option: Option,
    values: dict[str, Any],
    *,
    decided_by: str,
    source: str,
    origin: journal.Origin,
) -> None:
    """Record a decision, in the journal too. The same decision given twice is recorded once.

    `LOOK_AGAIN` leaves the problem open: the next pass withdraws it or meets it again.
    """
    row = session.get_one(ProblemRow, problem_id)
    last = _last_decision(session, row)
    if last is not None and row.state != "open" and (last.option, last.values) == (option.value, values):
        return
    number = journal.write(
        session,
        journal.Entry(
            event="decision",
            kind=f"{row.room}/{row.kind}",
            subject=row.account,
            origin=origin,
            before=_shown(row),
            after={"option": option.value, "values": values, "decided_by": decided_by, "source": source},
        ),
    )
    session.add(
        DecisionRow(
            problem_id=problem_id,
            facts_hash=row.facts_hash,
            option=option.value,
            values=values,
            decided_by=decided_by,
            decided_at=now(),
            source=source,
            journal_number=number,
        )
    )
    if option is not Option.LOOK_AGAIN:
        row.state = "decided"
    session.flush()


def decided_otherwise(session: Session, problem_id: int, option: Option, values: dict[str, Any]) -> Decision | None:
    """The other decision that is in force about this problem; until the session's end nobody else decides about it."""
    row = session.get_one(ProblemRow, problem_id, with_for_update=True)
    last = _last_decision(session, row) if row.state in ("decided", "settled") else None
    if last is None or (last.option, last.values) == (option.value, values):
        return None
    return _decision(last)


def reopen_unsettled(session: Session, account: str, rooms: Sequence[Room], since: datetime) -> int:
    """What was decided, and was met again since then all the same, is asked again: the decision did not help.

    Returns how many. `decide` records the same decision anew then, since it is a second attempt.
    """
    rows = session.scalars(
        sa.select(ProblemRow).where(
            ProblemRow.account == account,
            ProblemRow.room.in_(rooms),
            ProblemRow.state.in_(("decided", "settled")),
            ProblemRow.seen_at >= since,
        )
    ).all()
    for row in rows:
        row.state = "open"
    return len(rows)


def last_decision(session: Session, problem_id: int) -> Decision | None:
    """The last decision about this problem on its present facts, in force or not."""
    found = _last_decision(session, session.get_one(ProblemRow, problem_id))
    return _decision(found) if found else None


def all_decisions(ledger: Ledger) -> list[tuple[Problem, Decision]]:
    """The decisions in force of all accounts and rooms, by account and in the order of finding."""
    query = (
        sa.select(ProblemRow)
        .where(ProblemRow.state.in_(("decided", "settled")))
        .order_by(ProblemRow.account, ProblemRow.id)
    )
    with ledger.reading() as session:
        found = [(row, _last_decision(session, row)) for row in session.scalars(query)]
        return [(_problem(row), _decision(last)) for row, last in found if last is not None]


def kept_on_old(ledger: Ledger) -> dict[str, Decision]:
    """The accounts whose mailbox stays on the old server, with the decision that says so."""
    return {
        problem.account: decision
        for problem, decision in all_decisions(ledger)
        if decision.option is Option.KEEP_ON_OLD
    }


def out_of_reach(ledger: Ledger) -> set[str]:
    """The accounts whose mailbox lets nobody in on one side: asked about, left out or kept on old."""
    found = problems(ledger, room="account", states=("open", "decided", "settled"))
    return {problem.account for problem in found}


def settle_kept(session: Session, account: str) -> None:
    """The account's mailbox stays on old: what was decided about it is carried out by leaving it alone."""
    rows = session.scalars(sa.select(ProblemRow).where(ProblemRow.account == account, ProblemRow.state == "decided"))
    for row in rows:
        row.state = "settled"


def decisions(ledger: Ledger, account: str, room: Room) -> list[tuple[Problem, Decision]]:
    """The decisions in force for one account: the last one of each decided or settled problem, on today's facts."""
    query = sa.select(ProblemRow).where(
        ProblemRow.account == account, ProblemRow.room == room, ProblemRow.state.in_(("decided", "settled"))
    )
    found = []
    with ledger.reading() as session:
        for row in session.scalars(query):
            last = _last_decision(session, row)
            if last is not None:
                found.append((_problem(row), _decision(last)))
    return found


def folders_left_out(ledger: Ledger, account: str) -> frozenset[str]:
    """The old folders that are not carried by decision, as people read their names. The last decision counts.

    To leave out what was decided about a folder that has changed on both sides means that it stays on new.
    """
    about = [pair for pair in decisions(ledger, account, "mailbox") if pair[0].kind.startswith("folder-")]
    last = {problem.subject: (problem, decision) for problem, decision in sorted(about, key=lambda p: p[1].decided_at)}
    return frozenset(
        name
        for name, (problem, decision) in last.items()
        if problem.kind != "folder-both-changed"
        and (decision.option is Option.LEAVE_OUT or decision.values.get("action") == "leave out")
    )


def settle(session: Session, problem_id: int) -> None:
    """The decision was applied and what it says was verified."""
    session.get_one(ProblemRow, problem_id).state = "settled"


def accounts_with_open(ledger: Ledger, room: Room | None = None) -> list[str]:
    """The accounts for which a person is still asked, sorted."""
    query = sa.select(ProblemRow.account).where(ProblemRow.state == "open").distinct().order_by(ProblemRow.account)
    if room is not None:
        query = query.where(ProblemRow.room == room)
    with ledger.reading() as session:
        return list(session.scalars(query))


def accounts_to_settle(ledger: Ledger) -> list[str]:
    """The accounts whose mailbox waits for a pass that carries out what was decided, sorted."""
    query = (
        sa.select(ProblemRow.account)
        .where(ProblemRow.state == "decided", ProblemRow.room.in_(("mailbox", "account")))
        .distinct()
        .order_by(ProblemRow.account)
    )
    with ledger.reading() as session:
        return list(session.scalars(query))


def _last_decision(session: Session, row: ProblemRow) -> DecisionRow | None:
    return session.scalars(
        sa.select(DecisionRow)
        .where(DecisionRow.problem_id == row.id, DecisionRow.facts_hash == row.facts_hash)
        .order_by(DecisionRow.id.desc())
        .limit(1)
    ).first()


def _shown(row: ProblemRow) -> dict[str, Any]:
    """What stood before the person who decided."""
    return {
        "problem": row.subject,
        "explanation": row.explanation,
        "server_words": row.server_words,
        "facts": row.facts,
        "details": row.details,
        "proposal": row.proposal,
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _problem(row: ProblemRow) -> Problem:
    return Problem(
        account=row.account,
        room=row.room,  # type: ignore[arg-type]
        kind=row.kind,
        subject=row.subject,
        explanation=row.explanation,
        facts=row.facts,
        details=row.details,
        server_words=row.server_words,
        proposal=row.proposal,
        state=row.state,  # type: ignore[arg-type]
        id=row.id,
    )


def _decision(row: DecisionRow) -> Decision:
    return Decision(row.problem_id, Option(row.option), row.values, row.decided_by, row.decided_at, row.source)

"""Problems and decisions in the ledger.

A problem is known by account, room, kind and subject (a folder's name, a message's folder and UID, a filter's name),
so that finding it again is no second problem. A decision holds as long as the problem's facts stay the same.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from bascule.ledger import journal
from bascule.ledger.base import Ledger, now
from bascule.ledger.problems import DecisionRow, ProblemRow
from bascule.problems import rules
from bascule.problems.model import Decision, Option, Problem, Proposal, Room, State
from bascule.text.harmless import storable

AT_ONCE = 1_000  # numbers in one statement
BESIDES = ("title", "place", "cause")  # of a problem: kept in its details


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
    row.details, row.server_words, row.proposal = _details(problem), problem.server_words, problem.proposal.stored()
    row.seen_at = now()
    session.flush()
    return row.id


def hold(session: Session, *which: sa.ColumnElement[bool]) -> None:
    """Let nobody else change these problems until the session ends: first of all, where it changes several.

    They are taken by their numbers. Of two who took some of the same in different orders, each would wait for the other
    one, until PostgreSQL breaks one of them off. SQLite lets one write at a time anyway.
    """
    session.execute(sa.select(ProblemRow.id).where(*which).order_by(ProblemRow.id).with_for_update()).all()


def hold_account(session: Session, account: str) -> None:
    """The same for all problems of an account."""
    hold(session, ProblemRow.account == account)


def hold_all(session: Session, ids: Collection[int]) -> None:
    """The same for the problems of these numbers."""
    ordered = sorted(ids)
    for first in range(0, len(ordered), AT_ONCE):
        hold(session, ProblemRow.id.in_(ordered[first : first + AT_ONCE]))


def ask_again(session: Session, problem_id: int) -> None:
    """What was settled has happened once more, with the same facts: it is another event, so a person is asked anew."""
    row = session.get(ProblemRow, problem_id)
    if row is not None and row.state == "settled":
        row.state = "open"


def withdraw_unseen(
    session: Session,
    account: str,
    room: Room,
    seen: Collection[int],
    states: Sequence[State] = ("open", "decided"),
    kinds: Collection[str] | None = None,
) -> int:
    """After a complete look: problems of this room that were not met again are gone. Returns how many."""
    rows = session.scalars(
        sa.select(ProblemRow).where(
            ProblemRow.account == account, ProblemRow.room == room, ProblemRow.state.in_(states)
        )
    )
    gone = [row for row in rows if row.id not in seen and (kinds is None or row.kind in kinds)]
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


def states_of(session: Session, accounts: Collection[str]) -> dict[str, set[State]]:
    """Account -> the states of all problems that there ever were with it; only accounts that had any."""
    query = sa.select(ProblemRow.account, ProblemRow.state).where(ProblemRow.account.in_(accounts)).distinct()
    found: dict[str, set[State]] = {}
    for row in session.execute(query):
        found.setdefault(row.account, set()).add(row.state)
    return found


def count(ledger: Ledger, state: State) -> int:
    """How many problems are in this state."""
    with ledger.reading() as session:
        return session.scalar(sa.select(sa.func.count()).where(ProblemRow.state == state)) or 0


def decide(
    session: Session,
    problem_id: int,
    option: Option,
    chosen: Proposal,
    *,
    decided_by: str,
    source: str,
    origin: journal.Origin,
) -> None:
    """Record a decision, in the journal too. The same decision given twice is recorded once.

    To look again leaves the problem open: the next pass withdraws it or meets it again.
    """
    row = session.get_one(ProblemRow, problem_id)
    values = chosen.stored()
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
    if not rules.looks_again(option, chosen):
        row.state = "decided"
    session.flush()


def decided_otherwise(session: Session, problem_id: int, option: Option, chosen: Proposal) -> Decision | None:
    """The other decision that is in force about this problem; until the session's end nobody else decides about it."""
    row = session.get_one(ProblemRow, problem_id, with_for_update=True)
    last = _last_decision(session, row) if row.state in ("decided", "settled") else None
    if last is None or (last.option, last.values) == (option.value, chosen.stored()):
        return None
    return _decision(last)


def reopen_unsettled(session: Session, account: str, rooms: Sequence[Room], since: datetime) -> int:
    """What was decided, and was met again since then all the same, is asked again: the decision did not help.

    What was decided since then is not: whoever met it did not know of that yet (see `decided_since`).
    Returns how many. `decide` records the same decision anew then, since it is a second attempt.
    """
    rows = session.scalars(
        sa.select(ProblemRow).where(
            ProblemRow.account == account,
            ProblemRow.room.in_(rooms),
            ProblemRow.state.in_(("decided", "settled")),
            ProblemRow.seen_at >= since,
            ~_decided_since(since),
        )
    ).all()
    for row in rows:
        row.state = "open"
    return len(rows)


def did_not_help(session: Session, problem_id: int, decision: Decision) -> None:
    """Ask about a problem again, unless something else has been decided about it meanwhile."""
    row = session.get_one(ProblemRow, problem_id, with_for_update=True)
    last = _last_decision(session, row)
    if last is not None and _decision(last) == decision:
        row.state = "open"


def decided_since(ledger: Ledger, account: str, rooms: Sequence[Room], since: datetime) -> bool:
    """Whether something was decided since then that waits to be carried out."""
    waits = (ProblemRow.account == account, ProblemRow.room.in_(rooms), ProblemRow.state == "decided")
    with ledger.reading() as session:
        return session.scalar(sa.select(ProblemRow.id).where(*waits, _decided_since(since)).limit(1)) is not None


def _decided_since(since: datetime) -> sa.Exists:
    of_row = (DecisionRow.problem_id == ProblemRow.id, DecisionRow.facts_hash == ProblemRow.facts_hash)
    return sa.exists().where(*of_row, DecisionRow.decided_at >= since)


def to_look_at_again(ledger: Ledger, account: str, room: Room) -> set[int]:
    """The open problems that somebody says to have repaired since a pass has met them."""
    query = (
        sa.select(ProblemRow.id)
        .join(DecisionRow, DecisionRow.problem_id == ProblemRow.id)
        .where(
            ProblemRow.account == account, ProblemRow.room == room, ProblemRow.state == "open",
            DecisionRow.option == Option.LOOK_AGAIN.value, DecisionRow.decided_at >= ProblemRow.seen_at,
        )
    )  # fmt: skip
    with ledger.reading() as session:
        return set(session.scalars(query))


def last_decision(session: Session, problem_id: int) -> Decision | None:
    """The last decision about this problem on its present facts, in force or not."""
    found = _last_decision(session, session.get_one(ProblemRow, problem_id))
    return _decision(found) if found else None


def all_decisions(ledger: Ledger, account: str | None = None) -> list[tuple[Problem, Decision]]:
    """The decisions in force of all accounts (or of one) and rooms, by account and in the order of finding."""
    query = _in_force().order_by(ProblemRow.account, ProblemRow.id)
    if account is not None:
        query = query.where(ProblemRow.account == account)
    return _with_decisions(ledger, query)


def kept_on_old(ledger: Ledger, account: str | None = None) -> dict[str, Decision]:
    """The accounts (or whether it is this one) whose mailbox stays on old, with the decision that says so."""
    return {
        problem.account: decision
        for problem, decision in all_decisions(ledger, account)
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


def settle_moved(session: Session, account: str, rooms: Collection[Room]) -> int:
    """The account has moved on its own: what was accepted since needs no pass. Returns how many are open still."""
    of_rooms = (ProblemRow.account == account, ProblemRow.room.in_(rooms))
    for row in session.scalars(sa.select(ProblemRow).where(*of_rooms, ProblemRow.state == "decided")):
        row.state = "settled"
    return session.scalar(sa.select(sa.func.count()).where(*of_rooms, ProblemRow.state == "open")) or 0


def decisions(ledger: Ledger, account: str, room: Room) -> list[tuple[Problem, Decision]]:
    """The decisions in force for one account: the last one of each decided or settled problem, on today's facts."""
    return _with_decisions(ledger, _in_force().where(ProblemRow.account == account, ProblemRow.room == room))


def folders_left_out(ledger: Ledger, account: str) -> frozenset[str]:
    """The old folders that are not carried by decision, as people read their names."""
    return rules.folders_left_out(decisions(ledger, account, "mailbox"))


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


def _in_force() -> sa.Select[ProblemRow, DecisionRow]:
    """The decided and settled problems, each with its last decision on today's facts."""
    last = (
        sa.select(sa.func.max(DecisionRow.id))
        .where(DecisionRow.problem_id == ProblemRow.id, DecisionRow.facts_hash == ProblemRow.facts_hash)
        .correlate(ProblemRow)
        .scalar_subquery()
    )
    decided = ProblemRow.state.in_(("decided", "settled"))
    return sa.select(ProblemRow, DecisionRow).join(DecisionRow, DecisionRow.id == last).where(decided)


def _with_decisions(ledger: Ledger, query: sa.Select[ProblemRow, DecisionRow]) -> list[tuple[Problem, Decision]]:
    with ledger.reading() as session:
        return [(_problem(row), _decision(last)) for row, last in session.execute(query)]


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


def _details(problem: Problem) -> dict[str, Any]:
    """With what is told besides: the table has no columns of its own for it."""
    besides = {key: storable(getattr(problem, key)) for key in BESIDES if getattr(problem, key)}
    return problem.details | besides


def _problem(row: ProblemRow) -> Problem:
    return Problem(
        account=row.account,
        room=row.room,  # type: ignore[arg-type]
        kind=row.kind,
        subject=row.subject,
        explanation=row.explanation,
        facts=row.facts,
        details={key: value for key, value in row.details.items() if key not in BESIDES},
        server_words=row.server_words,
        proposal=Proposal.from_stored(row.proposal),
        state=row.state,  # type: ignore[arg-type]
        id=row.id,
        **{key: str(row.details.get(key) or "") for key in BESIDES},
    )


def _decision(row: DecisionRow) -> Decision:
    return Decision(
        row.problem_id,
        Option(row.option),
        Proposal.from_stored(row.values),
        row.decided_by,
        row.decided_at,
        row.source,
    )

"""What the page shows, asked from the ledger: counts over all accounts, and one page of each long list."""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from bascule.ledger import Ledger, journal, phases
from bascule.ledger.journal import JournalRow
from bascule.ledger.mailboxes import MailboxRow
from bascule.ledger.problems import DecisionRow, ProblemRow

PHASES = ("prepare", "problems", "freeze", "transfer", "cutover", "drain", "migrate", "rollback")
ROWS_AT_ONCE = 50
JOURNAL_ROWS = 100
CHAIN_SECONDS = 60  # the whole journal is read to check the chain: not at every look


@dataclass(frozen=True)
class PhaseView:
    """A phase and when it last came to each state (UTC)."""

    name: str
    state: Literal["not begun", "running", "go given", "finished"]
    started: datetime | None
    finished: datetime | None


@dataclass(frozen=True)
class Page:
    """One page of a long list: its rows, and where it stands in the whole."""

    rows: Sequence[Any]
    number: int
    total: int

    @property
    def last(self) -> int:
        return max(1, -(-self.total // ROWS_AT_ONCE))


@dataclass(frozen=True)
class MailboxView:
    account: str
    state: str
    folders: int
    messages: int
    bytes: int
    open_problems: int
    passes: int
    last_pass_at: datetime | None
    note: str


@dataclass(frozen=True)
class DecisionView:
    account: str
    room: str
    kind: str
    subject: str
    option: str
    values: str  # JSON
    decided_by: str
    decided_at: datetime
    journal_number: int


@dataclass(frozen=True)
class Totals:
    """Sums over all mailboxes."""

    by_state: dict[str, int]
    messages: int
    bytes: int

    @property
    def mailboxes(self) -> int:
        return sum(self.by_state.values())


@dataclass(frozen=True)
class Chain:
    """Whether the journal's chain held when it was last checked."""

    rows: int
    broken_at: int | None
    checked_at: datetime


class ChainCheck:
    """The check of the whole journal, made at most once in CHAIN_SECONDS."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: Chain | None = None
        self._at = 0.0

    def look(self, ledger: Ledger) -> Chain:
        if self._last is None or self._clock() - self._at > CHAIN_SECONDS:
            with ledger.reading() as session:
                rows = session.scalar(sa.select(sa.func.count()).select_from(JournalRow)) or 0
            self._last = Chain(rows, journal.broken_link(ledger), datetime.now(UTC))
            self._at = self._clock()
        return self._last


def phase_views(ledger: Ledger) -> list[PhaseView]:
    """Each phase that the journal can know, in the order of the days; `rollback` only when it was begun."""
    found = [_phase(ledger, name) for name in PHASES]
    return [view for view in found if view.name != "rollback" or view.started]


def _phase(ledger: Ledger, name: str) -> PhaseView:
    started, finished = (phases.marked_at(ledger, name, state) for state in ("started", "finished"))
    if started is None:
        return PhaseView(name, "not begun", None, None)
    if finished is not None and finished >= started:
        return PhaseView(name, "finished", started, finished)
    go = phases.marked_at(ledger, name, "go")
    return PhaseView(name, "go given" if go is not None and go >= started else "running", started, None)


def totals(session: Session) -> Totals:
    """How many mailboxes are in each state, and what they hold together."""
    query = sa.select(
        MailboxRow.state, sa.func.count(), sa.func.sum(MailboxRow.messages), sa.func.sum(MailboxRow.bytes)
    )
    rows = session.execute(query.group_by(MailboxRow.state).order_by(MailboxRow.state)).all()
    return Totals(
        by_state={state: count for state, count, _, _ in rows},
        messages=int(sum(messages for _, _, messages, _ in rows)),
        bytes=int(sum(size for _, _, _, size in rows)),
    )


def mailboxes(session: Session, number: int, *, state: str = "", account: str = "") -> Page:
    """One page of the mailboxes by account, narrowed to a state and to accounts with these letters in their names."""
    query = sa.select(MailboxRow)
    if state:
        query = query.where(MailboxRow.state == state)
    if account:
        query = query.where(MailboxRow.account.icontains(account, autoescape=True))
    page = _page(session, query.order_by(MailboxRow.account), number)
    waiting = _open_problems(session, [row.account for row in page.rows])
    views = [
        MailboxView(
            account=row.account,
            state=row.state,
            folders=row.folders,
            messages=row.messages,
            bytes=row.bytes,
            open_problems=waiting[row.account],
            passes=row.passes,
            last_pass_at=row.last_pass_at,
            note=row.note,
        )
        for row in page.rows
    ]
    return Page(views, page.number, page.total)


def open_problems(session: Session, number: int) -> Page:
    """One page of the problems for which a person is asked, by account."""
    query = sa.select(ProblemRow).where(ProblemRow.state == "open").order_by(ProblemRow.account, ProblemRow.id)
    return _page(session, query, number)


def decisions(session: Session, number: int) -> Page:
    """One page of the decisions, the newest first."""
    page = _page(session, sa.select(DecisionRow).order_by(DecisionRow.id.desc()), number)
    about = {
        row.id: row
        for row in session.scalars(
            sa.select(ProblemRow).where(ProblemRow.id.in_([row.problem_id for row in page.rows]))
        )
    }
    views = [
        DecisionView(
            account=about[row.problem_id].account,
            room=about[row.problem_id].room,
            kind=about[row.problem_id].kind,
            subject=about[row.problem_id].subject,
            option=row.option,
            values=json.dumps(row.values, ensure_ascii=False),
            decided_by=row.decided_by,
            decided_at=row.decided_at,
            journal_number=row.journal_number,
        )
        for row in page.rows
    ]
    return Page(views, page.number, page.total)


def journal_rows(session: Session) -> Sequence[Any]:
    """The last rows of the journal, the newest first, without their states before and after, which may be long."""
    shown = (
        JournalRow.number, JournalRow.at, JournalRow.event, JournalRow.kind, JournalRow.subject, JournalRow.phase,
        JournalRow.task, JournalRow.asked_by, JournalRow.note,
    )  # fmt: skip
    return session.execute(sa.select(*shown).order_by(JournalRow.number.desc()).limit(JOURNAL_ROWS)).all()


def _open_problems(session: Session, accounts: Sequence[str]) -> Counter[str]:
    query = (
        sa.select(ProblemRow.account, sa.func.count())
        .where(ProblemRow.state == "open", ProblemRow.account.in_(accounts))
        .group_by(ProblemRow.account)
    )
    return Counter(dict(iter(session.execute(query))))


def _page(session: Session, query: sa.Select[Any], number: int) -> Page:
    """The page of this number, or the last one when there are not so many."""
    total = session.scalar(sa.select(sa.func.count()).select_from(query.order_by(None).subquery())) or 0
    number = min(number, max(1, -(-total // ROWS_AT_ONCE)))
    rows = session.scalars(query.limit(ROWS_AT_ONCE).offset((number - 1) * ROWS_AT_ONCE)).all()
    return Page(rows, number, total)

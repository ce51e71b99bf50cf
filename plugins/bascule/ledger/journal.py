"""The journal: the append-only record of changes and decisions, chained by hash.

Each row's hash covers the row and the hash before it, so that a gap or an edit shows (`broken_link`).
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from bascule.ledger.base import Base, Ledger, lock_for_append, now
from bascule.text.harmless import storable

Event = Literal[
    "intent",  # a change is about to be applied: `before` and `after` say from what to what
    "done",  # it was applied and verified
    "failed",  # it was not; `note` says why
    "unchanged",  # it was found as desired
    "reverted",  # the state before was put back
    "decision",  # a person decided
    "phase",  # a phase began or ended; `after` has {"state": "started" | "finished"}
    "note",  # anything else that an auditor wants to find
]


@dataclass(frozen=True)
class Origin:
    """Who and what writes: phase, the run and task of it, and the person or schedule that asked for it."""

    phase: str
    run: str = ""
    task: str = ""
    asked_by: str = ""


@dataclass(frozen=True)
class Entry:
    """One row of the journal as it is written and read."""

    event: Event
    kind: str  # of change ("service", "directory", ...) or of decision
    subject: str  # the change's name, an account, a phase
    origin: Origin
    parameters: dict[str, Any] = field(default_factory=dict)  # what makes the change again, for rollback
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    note: str = ""
    number: int = 0
    at: datetime | None = None


UIDLS_OF_MOVES = "UIDLs of accounts that move on their own"  # subject of a note: not carried


class JournalRow(Base):
    __tablename__ = "journal"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    event: Mapped[str] = mapped_column(sa.String(16), index=True)
    kind: Mapped[str] = mapped_column(sa.String(64), index=True)
    subject: Mapped[str] = mapped_column(sa.Text, index=True)
    phase: Mapped[str] = mapped_column(sa.String(64))
    run: Mapped[str] = mapped_column(sa.Text)
    task: Mapped[str] = mapped_column(sa.Text)
    asked_by: Mapped[str] = mapped_column(sa.Text)
    parameters: Mapped[str] = mapped_column(sa.Text)  # JSON text, not a JSON column: the hash needs the exact text
    before: Mapped[str | None] = mapped_column(sa.Text)
    after: Mapped[str | None] = mapped_column(sa.Text)
    note: Mapped[str] = mapped_column(sa.Text)
    previous_hash: Mapped[str] = mapped_column(sa.String(64))
    hash: Mapped[str] = mapped_column(sa.String(64))


def write(session: Session, entry: Entry) -> int:
    """Append one row in the caller's transaction; return its number."""
    lock_for_append(session.connection())
    last = session.scalars(sa.select(JournalRow).order_by(JournalRow.number.desc()).limit(1)).first()
    row = JournalRow(
        number=(last.number if last else 0) + 1,
        at=now(),
        event=entry.event,
        kind=entry.kind,
        subject=storable(entry.subject),
        phase=entry.origin.phase,
        run=entry.origin.run,
        task=entry.origin.task,
        asked_by=entry.origin.asked_by,
        parameters=_text(entry.parameters),
        before=None if entry.before is None else _text(entry.before),
        after=None if entry.after is None else _text(entry.after),
        note=storable(entry.note),
        previous_hash=last.hash if last else "",
    )
    row.hash = _hash(row)
    session.add(row)
    session.flush()
    return row.number


def append(ledger: Ledger, entry: Entry) -> int:
    """Append one row in a transaction of its own; when this returns, it is on the disk."""
    with ledger.session() as session:
        return write(session, entry)


def entries(
    ledger: Ledger,
    *,
    kind: str | None = None,
    subject: str | None = None,
    event: Event | None = None,
    run: str | None = None,
) -> list[Entry]:
    """The rows in the order of their numbers, narrowed by what is given."""
    query = sa.select(JournalRow).order_by(JournalRow.number)
    narrowed = {"kind": kind, "subject": subject, "event": event, "run": run}
    for column, value in ((getattr(JournalRow, name), value) for name, value in narrowed.items()):
        if value is not None:
            query = query.where(column == value)
    with ledger.reading() as session:
        return [_entry(row) for row in session.scalars(query)]


def newest(ledger: Ledger, rows: slice) -> list[Entry]:
    """Some rows, counted from the last one."""
    query = sa.select(JournalRow).order_by(JournalRow.number.desc()).offset(rows.start).limit(rows.stop - rows.start)
    with ledger.reading() as session:
        return [_entry(row) for row in session.scalars(query)]


@dataclass(frozen=True)
class Head:
    """The last row and its hash, which covers all rows before it: written on paper, it proves the whole journal."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"row {self.number}, {self.hash}" if self.number else "no row yet"


def head(ledger: Ledger) -> Head:
    """Where the journal ends now."""
    query = sa.select(JournalRow.number, JournalRow.hash).order_by(JournalRow.number.desc()).limit(1)
    with ledger.reading() as session:
        row = session.execute(query).first()
    return Head(row[0], row[1]) if row else Head(0, "")


def broken_link(ledger: Ledger) -> int | None:
    """The number of the first row that was edited, or before which one is missing; None when the chain holds."""
    previous, expected = "", 1
    with ledger.reading() as session:
        for row in session.scalars(sa.select(JournalRow).order_by(JournalRow.number)):
            if row.number != expected or row.previous_hash != previous or row.hash != _hash(row):
                return row.number
            previous, expected = row.hash, expected + 1
    return None


def export(ledger: Ledger) -> Iterator[str]:
    """The journal as JSON lines, hashes included, for the report and for an auditor's own check."""
    with ledger.reading() as session:
        for row in session.scalars(sa.select(JournalRow).order_by(JournalRow.number)):
            line = asdict(_entry(row)) | {"previous_hash": row.previous_hash, "hash": row.hash}
            yield storable(json.dumps(line, default=str, ensure_ascii=False))


@dataclass(frozen=True)
class Checked:
    """What an exported journal is: where it ends, and the number of the first row that does not follow (None: all do).

    Rows that were cut off at its end leave a chain that holds: the head that was written down elsewhere tells.
    """

    head: Head
    broken_at: int | None
    hashes: frozenset[str]  # of all rows that follow


def check_export(text: str) -> Checked:
    """The same check of what `export` wrote, without a ledger. Raises ValueError with the line that is none of it."""
    head, hashes = Head(0, ""), set[str]()
    lines = text.split("\n")  # `splitlines` would also split where a name has one of Unicode's other line ends
    for number, line in enumerate((line for line in lines if line.strip()), 1):
        try:
            row, previous, claimed = _row_of(json.loads(line, object_pairs_hook=_each_once))
            holds = row.number == head.number + 1 and previous == head.hash and claimed == _hash(row)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ValueError(f"line {number} is no row of a journal") from None
        if not holds:
            return Checked(head, row.number, frozenset(hashes))
        head = Head(row.number, claimed)
        hashes.add(claimed)
    return Checked(head, None, frozenset(hashes))


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises ValueError when it says something twice: its hash would cover the last one alone."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _row_of(line: dict[str, Any]) -> tuple[JournalRow, str, str]:
    """(the row, the hash before it and its own one, as the file has them). Raises ValueError for more than a row."""
    if line.keys() != WRITTEN or line["origin"].keys() != _names(Origin) or not isinstance(line["number"], int):
        raise ValueError("it has other keys: no hash covers them")
    origin, texts = line["origin"], {key: line[key] for key in ("event", "kind", "subject", "note")}
    states = {key: None if line[key] is None else _text(line[key]) for key in ("parameters", "before", "after")}
    row = JournalRow(
        number=line["number"], at=datetime.fromisoformat(line["at"]), phase=origin["phase"], run=origin["run"],
        task=origin["task"], asked_by=origin["asked_by"], previous_hash=line["previous_hash"], **texts, **states,
    )  # fmt: skip
    return row, line["previous_hash"], line["hash"]


def _names(of: type) -> set[str]:
    return {each.name for each in fields(of)}


WRITTEN = _names(Entry) | {"previous_hash", "hash"}  # what `export` writes of each row


def _text(value: dict[str, Any]) -> str:
    # A lone surrogate (an octet of a filter that is no UTF-8) becomes the JSON escape that reads back as itself.
    return storable(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str))


def _hash(row: JournalRow) -> str:
    parts = [
        row.number, row.at.isoformat(timespec="microseconds"), row.event, row.kind, row.subject, row.phase, row.run,
        row.task, row.asked_by, row.parameters, row.before, row.after, row.note, row.previous_hash,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


def _entry(row: JournalRow) -> Entry:
    return Entry(
        event=row.event,  # type: ignore[arg-type]
        kind=row.kind,
        subject=row.subject,
        origin=Origin(row.phase, row.run, row.task, row.asked_by),
        parameters=json.loads(row.parameters),
        before=None if row.before is None else json.loads(row.before),
        after=None if row.after is None else json.loads(row.after),
        note=row.note,
        number=row.number,
        at=row.at,
    )

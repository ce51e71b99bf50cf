"""The final report: one HTML file that needs nothing else, in the languages of the site, and its data as JSON."""

import base64
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import median
from typing import Any

import sqlalchemy as sa

from bascule.ledger import Ledger, journal, letters, pictures
from bascule.ledger.base import now
from bascule.ledger.mailboxes import MailboxRow
from bascule.problems import rules, store
from bascule.problems.evidence import evidence_lines, mail_lines
from bascule.problems.model import Decision, Problem
from bascule.site import Site
from bascule.views import moves, pages, progress, timeline
from bascule.views.day import Day, day
from bascule.views.language import Reader
from bascule.views.moves import Moved, Wave
from bascule.views.reality import compare

FORMAT = 1  # of the data
MOVES_IN = (moves.MOVED, moves.BACK, moves.NOT_MOVED, moves.UNDER_WAY)  # columns
CHANGES = ("intent", "done", "failed", "unchanged", "reverted")


@dataclass(frozen=True)
class Test:
    """The last result of one functional test; its pictures by name, as data: addresses."""

    name: str
    ok: bool
    evidence: str
    at: datetime | None
    pictures: Mapping[str, str]


@dataclass(frozen=True)
class Loss:
    """Something that was left out by decision."""

    problem: Problem
    decision: Decision

    @property
    def named(self) -> list[tuple[str, str]]:
        """What it is known by: of a message Message-Id, From, Subject, date and size."""
        known = [(key, self.problem.facts.get(key)) for key in ("message_id", "from", "subject", "date", "size")]
        return [(key, str(value)) for key, value in known if value not in (None, "")]


@dataclass(frozen=True)
class Report:
    """Everything that the report tells."""

    site: Site
    made_at: datetime
    day: Day
    head: journal.Head
    broken_at: int | None
    mailboxes: Sequence[MailboxRow]
    decisions: Sequence[tuple[Problem, Decision]]
    tests: Sequence[Test]
    entries: Sequence[journal.Entry]
    letters: Mapping[str, str]
    evidence: Sequence[str]
    mail: Sequence[str]
    moves: Sequence[Moved]
    waves: Sequence[Wave]

    @property
    def losses(self) -> list[Loss]:
        return [Loss(problem, decision) for problem, decision in self.decisions if rules.leaves_out(decision)]

    @property
    def changes(self) -> list[journal.Entry]:
        """The acts on the infrastructure."""
        return [entry for entry in self.entries if entry.event in CHANGES]

    @property
    def people(self) -> Counter[tuple[str, str]]:
        """(who, event): how many rows of the journal."""
        return Counter((who(entry), entry.event) for entry in self.entries if who(entry))

    def by_state(self) -> Counter[str]:
        return Counter(row.state for row in self.mailboxes)


def who(entry: journal.Entry) -> str:
    """Who decided, or else who asked for it."""
    return str((entry.after or {}).get("decided_by") or entry.origin.asked_by)


def gather(ledger: Ledger, site: Site, at: datetime | None = None) -> Report:
    """What the ledger has of the day until now."""
    at = at or now()
    with ledger.reading() as session:
        rows = list(session.scalars(sa.select(MailboxRow).order_by(MailboxRow.account)))
    moved = moves.told(ledger)
    return Report(
        site,
        at,
        day(ledger, progress.mailboxes(ledger), at=at),
        journal.head(ledger),
        journal.broken_link(ledger),
        rows,
        store.all_decisions(ledger),
        _tests(ledger),
        journal.entries(ledger),
        letters.sent(ledger),
        evidence_lines(ledger),
        mail_lines(ledger),
        moved,
        moves.by_wave(ledger, moved),
    )


def _tests(ledger: Ledger) -> list[Test]:
    last = {entry.subject: entry for entry in journal.entries(ledger, kind="functional test")}
    return [_test(ledger, entry) for entry in last.values()]


def _test(ledger: Ledger, entry: journal.Entry) -> Test:
    after = entry.after or {}
    place = str(after.get("pictures") or "")
    found = pictures.of_place(ledger, place) if place else {}
    shown = {name: f"data:image/png;base64,{base64.b64encode(png).decode()}" for name, png in found.items()}
    return Test(entry.subject, bool(after.get("ok")), str(after.get("evidence") or ""), entry.at, shown)


def as_html(report: Report) -> str:
    """The whole report, once in each language of the site."""
    readers = [Reader.of(language, report.site.timezone) for language in report.site.languages]
    shared = {
        "report": report,
        "day": report.day,
        "axis": timeline.axis(report.day),
        "compared": compare(report.day),
        "outage": report.day.outage,
        "median": median,
        "moves_in": MOVES_IN,
        "who": who,
    }
    parts = [(reader.language, pages.render("report_in.html.j2", reader, shared)) for reader in readers]
    values = {"parts": parts, "site": report.site, "style": (pages.TEMPLATES / "style.css").read_text(encoding="utf-8")}
    return pages.render("report.html.j2", readers[0], values)


def as_json(report: Report) -> str:
    """The data, for programs; times are UTC."""
    found = report.day
    data = {
        "format": FORMAT,
        "site": report.site.name,
        "domain": report.site.domain,
        "made_at": report.made_at,
        "outage": {"began": found.outage.began, "ended": found.outage.ended} if found.outage else None,
        "outages_before": [asdict(span) for span in found.outages_before],
        "forecast": asdict(found.forecast) if found.forecast else None,
        "phases": [
            {
                "phase": phase.name, "run": phase.run, "state": phase.state,
                "began": phase.span.began if phase.span else None, "ended": phase.span.ended if phase.span else None,
                "tasks": [
                    {"task": task.name, "state": task.state, "sentence": task.sentence, "by_hand_at": task.line.at,
                     "tries": [{"began": span.began, "ended": span.ended, "state": how} for span, how in task.tries]}
                    for task in phase.tasks
                ],
            }
            for phase in found.phases
        ],
        "mailboxes": [_columns(row) for row in report.mailboxes],
        "decisions": [
            {"account": problem.account, "kind": problem.key, "subject": problem.subject, "state": problem.state,
             "explanation": problem.explanation, "server_words": problem.server_words, "facts": problem.facts,
             "option": decision.option.value, "values": decision.chosen.stored(), "decided_by": decision.decided_by,
             "decided_at": decision.decided_at, "source": decision.source,
             "left_out": rules.leaves_out(decision)}
            for problem, decision in report.decisions
        ],
        "functional_tests": [{"name": each.name, "ok": each.ok, "evidence": each.evidence, "at": each.at}
                             for each in report.tests],
        "mail": report.mail,
        "moves": [asdict(each) for each in report.moves],
        "letters": report.letters,
        "evidence": report.evidence,
        "journal": {"rows": report.head.number, "head": report.head.hash, "broken_at": report.broken_at,
                    "entries": [asdict(entry) for entry in report.entries]},
    }  # fmt: skip
    return json.dumps(data, ensure_ascii=False, indent=1, default=_plain) + "\n"


def _columns(row: MailboxRow) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in MailboxRow.__table__.columns}


def _plain(value: Any) -> Any:
    return f"{value.isoformat()}Z" if isinstance(value, datetime) else str(value)

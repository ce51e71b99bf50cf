"""What people are asked about the calendars of one account, and what they have decided.

Each item, file and collection is a problem of its own; what has one cause says so, and is one question.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bascule.calendars.dav.model import Content, NotCarried
from bascule.calendars.places import name_of
from bascule.calendars.repairs import LEAVE_OUT, Reason
from bascule.ledger import Ledger
from bascule.ledger.calendars import CalendarItemRow, CalendarRow, save_items
from bascule.problems import store
from bascule.problems.model import Decision, Problem, Proposal, Room
from bascule.text.harmless import storable
from bascule.text.logs import get_logger

log = get_logger(__name__)

KEPT_TEXT = 20_000  # characters of an item that are kept with its problem
ROOM: Room = "calendar"
# What gives nothing, by its kind. It is asked about once more when it happens once more, though it was settled.
NOT_CARRIED = ("file", "collection", "subscription")
WORDS = {
    "file": "nothing is carried from it",
    "damage": "what is whole in it is carried, and nothing is removed on the new server because of it",
    "collection": "nothing of it is carried, and nothing removed",
    "subscription": "it only shows another calendar, and is not carried",
}

Decided = tuple[Problem, Decision]


@dataclass(frozen=True)
class Name:
    """What people call an item, and where they find it: its calendar, its file and line or its address."""

    title: str
    place: str


class Questions:
    """The problems and decisions of one account in one pass."""

    def __init__(self, ledger: Ledger, account: str, *, dry_run: bool) -> None:
        self._ledger, self._account, self._dry_run = ledger, account, dry_run
        self.seen: set[int] = set()  # problems that this pass met, or that are known to be there still
        found = store.decisions(ledger, account, ROOM)
        self._decided = {problem.id: (problem, made) for problem, made in found if problem.state == "decided"}
        self._by_subject = {(problem.kind, problem.subject): (problem, made) for problem, made in found}
        self._look_again = store.to_look_at_again(ledger, account, ROOM)
        self._asked: list[tuple[CalendarItemRow, Problem, str]] = []
        self._applied: list[int] = []

    @property
    def are_answered(self) -> bool:
        """Whether something was decided that this pass has to carry out, or is to be looked at again."""
        return bool(self._decided or self._look_again)

    def on(self, row: CalendarItemRow) -> Decided | None:
        """The decision about this item that still has to be applied."""
        return self._decided.get(row.problem_id) if row.problem_id else None

    def is_to_be_tried(self, row: CalendarItemRow) -> bool:
        """Whether a person says that what keeps the item away is mended."""
        return row.problem_id in self._look_again

    def ask(
        self, row: CalendarItemRow, source: Content, name: Name, reason: Reason, state: str, tried: int | None = None
    ) -> None:
        """Ask about one item; `save` writes it down. `state`: of its row then.

        `tried`: the problem whose decision did not help.
        """
        title = f"“{name.title}”" if name.title else "An item"
        particular = f": {reason.particular}" if reason.particular else ""
        problem = Problem(
            account=self._account,
            room=ROOM,
            kind=reason.kind,
            subject=row.old_href,
            explanation=f"{title} in {name.place}: {reason.words}{particular}.",
            # A decision that didn't help is asked again: the facts are no longer those that it was taken on.
            facts={"old_etag": source.etag} | ({"tried": tried} if tried else {}),
            details={"text": source.text[:KEPT_TEXT]},
            server_words=reason.server_words,
            proposal=reason.proposal,
            title=name.title,
            place=name.place,
            cause=reason.cause,
        )
        self._asked.append((row, problem, state))
        log.warning("an item is a problem", account=self._account, kind=reason.kind, item=row.old_href)

    def save(self, rows: Iterable[CalendarItemRow]) -> None:
        """Write these items down, and what is asked about them."""
        if self._dry_run:
            return
        with self._ledger.session() as session:
            store.hold_account(session, self._account)
            for row, problem, state in self._asked:
                row.problem_id, row.state = store.report(session, problem), state
                self.seen.add(row.problem_id)
            for number in self._applied:
                store.settle(session, number)
            save_items(session, [*rows, *(row for row, _, _ in self._asked)])
        self._asked.clear()
        self._applied.clear()

    def applied(self, problem: Problem) -> None:
        """What was decided about an item is carried out; `save` writes it down."""
        self._applied.append(problem.id)

    def not_carried(self, what: NotCarried) -> None:
        """Ask about something of old that gives nothing."""
        name = f"“{what.title}” ({what.name})" if what.title else what.name
        words = f"{name}: {WORDS['damage' if what.is_partly else what.kind]}: {what.why}."
        problem = self._problem(what.kind, what.name, words, LEAVE_OUT, {"digest": what.digest})
        if self.about(replace(problem, title=what.title, cause=what.cause)):
            self.settle(what.kind, what.name)

    def about_collection(
        self, kind: str, calendar: CalendarRow, explanation: str, proposal: Proposal, facts: Mapping[str, Any]
    ) -> Decision | None:
        """Ask about a whole collection, once more when it happens once more; what was decided about it, if anything."""
        problem = self._problem(kind, calendar.old_href, explanation, proposal, facts)
        details = {"on_new": calendar.new_href}
        return self.about(replace(problem, details=details, title=name_of(calendar)), asked_anew=True)

    def about(self, problem: Problem, *, asked_anew: bool = False) -> Decision | None:
        """Ask about a collection or a file; what was decided about it on these facts, if anything.

        `asked_anew`: what was settled has happened once more.
        """
        known = self._by_subject.get((problem.kind, storable(problem.subject)))
        if known and known[0].facts == problem.facts and (known[0].state == "decided" or not asked_anew):
            self.seen.add(known[0].id)
            return known[1]
        log.warning(
            "a calendar or a file is a problem", account=self._account, kind=problem.kind, why=problem.explanation
        )
        if self._dry_run:
            return None
        with self._ledger.session() as session:
            number = store.report(session, problem)
            store.ask_again(session, number)
        self.seen.add(number)
        return None

    def _problem(
        self, kind: str, subject: str, explanation: str, proposal: Proposal, facts: Mapping[str, Any]
    ) -> Problem:
        return Problem(self._account, ROOM, kind, subject, explanation, dict(facts), proposal=proposal)

    def settle(self, kind: str, subject: str) -> None:
        """The decision about a collection or a file, if there is one, is carried out."""
        known = self._by_subject.get((kind, storable(subject)))
        if known and known[0].state == "decided" and not self._dry_run:
            with self._ledger.session() as session:
                store.settle(session, known[0].id)

    def is_decided(self, kind: str, subject: str) -> bool:
        """Whether a decision about this collection waits to be carried out."""
        known = self._by_subject.get((kind, storable(subject)))
        return known is not None and known[0].state == "decided"

    def finish(self) -> None:
        """After a complete pass: what was not met again is withdrawn."""
        if self._dry_run:
            return
        with self._ledger.session() as session:
            store.withdraw_unseen(session, self._account, ROOM, self.seen)
            store.withdraw_unseen(session, self._account, ROOM, self.seen, ("settled",), kinds=NOT_CARRIED)

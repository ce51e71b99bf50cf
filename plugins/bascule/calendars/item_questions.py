"""What people are asked about single items: in which calendar, what it is called, why, and what can be done."""

from collections.abc import Sequence

from bascule.calendars import ical_compare
from bascule.calendars.dav.model import Content
from bascule.calendars.places import name_of
from bascule.calendars.questions import Name, Questions
from bascule.calendars.repairs import LEAVE_OUT, Reason
from bascule.ledger.calendars import CalendarItemRow, CalendarRow
from bascule.problems.model import Action, Proposal

TOLD = 6  # differences of one item that are told
GUESSED = "its text is not in UTF-8, and was read as Windows-1252"
UNREAD = Reason("unreadable", "the old server lists it and doesn't give it", LEAVE_OUT)
DAMAGED = Reason("unreadable", "what the old server gives is no whole calendar entry and no card", LEAVE_OUT)
VANISHED = Reason("vanished", "the new server says that it has stored it, and doesn't have it", LEAVE_OUT)
STAYS = "which stays unless you decide otherwise"
CONFLICTS = {
    "there": f"it is new on the old server, and the new one has another version of it, {STAYS}",
    "changed": f"it changed on the old server, and its owner has another version of it on the new one, {STAYS}",
    "removed": "it changed on the old server, and its owner has removed it on the new one, where it stays away unless "
    "you decide otherwise",
}


class ItemQuestions:
    """Asks about the items of one collection."""

    def __init__(self, questions: Questions, calendar: CalendarRow) -> None:
        self._questions, self._calendar = questions, calendar
        self.asked = 0

    def ask(self, row: CalendarItemRow, source: Content, reason: Reason, state: str, tried: int | None = None) -> None:
        """`state`: of the row from now on. `tried`: the problem whose decision did not help."""
        self.asked += 1
        self._questions.ask(row, source, self._name(source), reason, state, tried)

    def conflict(self, row: CalendarItemRow, source: Content, how: str) -> None:
        """What its owner has on new stays until somebody decides. `how`: one of CONFLICTS."""
        row.old_etag = source.etag
        alone = how != "there"  # what somebody has changed is decided by itself
        self.ask(row, source, Reason("both-changed", CONFLICTS[how], Proposal(Action.KEEP_NEW), alone=alone), "kept")

    def _name(self, source: Content) -> Name:
        title = ical_compare.title(source.item) if source.item else ""
        kind = "calendar" if self._calendar.kind == "calendar" else "address book"
        return Name(title, f"the {kind} “{name_of(self._calendar)}” ({source.where or source.href})")


def altered(lost: Sequence[ical_compare.Difference], guessed: str) -> Reason:
    """New keeps an item otherwise than it was; it may have been read with a guess, too."""
    names = ", ".join(sorted({difference.name or difference.what for difference in lost}))
    told = [difference.words for difference in lost[:TOLD]]
    told += [f"and {len(lost) - TOLD} more differences"] if len(lost) > TOLD else []
    words = f"the new server keeps it otherwise than it was ({names})"
    words = f"{words}, and {GUESSED}" if guessed else words
    told += [f"guessed were {guessed}"] if guessed else []
    return Reason("altered", words, Proposal(Action.ACCEPT), "; ".join(told))


def guessed_charset(lines: str) -> Reason:
    """What was carried may read otherwise than it was meant. `lines`: those that were guessed."""
    return Reason("charset", GUESSED, Proposal(Action.ACCEPT), lines)

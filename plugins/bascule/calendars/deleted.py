"""A collection that is gone from old as a whole: a person says whether what Bascule put on new goes as well.

What its owner changed or added on new stays in either case, and is named. So does the collection itself: WebDAV knows
no condition for removing one, so an event that its owner writes at that moment would go with it.
"""

from collections.abc import Sequence

from bascule.calendars import ical_compare, mass_deletion
from bascule.calendars.counts import Counts
from bascule.calendars.dav.client import Session
from bascule.calendars.dav.http import DavRefused
from bascule.calendars.questions import Questions
from bascule.ledger import Ledger
from bascule.ledger.calendars import (
    CalendarItemRow,
    CalendarRow,
    forget_calendar,
    forget_items,
    items,
    problem_ids,
    save_calendar,
)
from bascule.text.logs import get_logger

log = get_logger(__name__)

NAMED = 10  # items that are told by name


class Deleted:
    """What follows on new from the deletion of one collection on old. Raises AccessError when new stays away."""

    def __init__(
        self, new: Session, ledger: Ledger, calendar: CalendarRow, questions: Questions, *, dry_run: bool
    ) -> None:
        self.new, self.ledger, self.calendar = new, ledger, calendar
        self.questions, self.dry_run = questions, dry_run

    def run(self) -> Counts:
        there = self._etags()
        if there is None:
            self._forget_all()
            return Counts()
        known = items(self.ledger, self.calendar.id)
        carried = [row for row in known.values() if row.state == "carried"]
        ours = [row for row in carried if row.new_etag and there.get(row.new_href) == row.new_etag]
        theirs = sorted(there.keys() - {row.new_href for row in ours})
        log.warning(
            "a collection is gone from old",
            account=self.calendar.account,
            collection=self.calendar.old_href,
            on_new=self.calendar.new_href,
            as_carried=len(ours),
            of_its_owner=len(theirs),
        )
        if self.dry_run:
            return Counts()
        asked = self.questions.is_decided(mass_deletion.DELETED, self.calendar.old_href)
        if not ours and not asked:  # nothing that Bascule could take away
            self._close(list(known.values()))
            return Counts()
        facts = {"gone": len(carried), "known": len(known)}  # those of the ledger, which an interruption doesn't change
        wanted = mass_deletion.answer(self.questions, self.calendar, mass_deletion.DELETED, facts, self._named(theirs))
        if not wanted:
            self.questions.seen |= problem_ids(self.ledger, self.calendar.id)
            return Counts(problems=1)
        deleted = self._remove_all(ours) if wanted == "remove" else 0
        self._close(list(known.values()))
        self.questions.settle(mass_deletion.DELETED, self.calendar.old_href)
        return Counts(deleted=deleted, kept=len(there) - deleted)

    def _etags(self) -> dict[str, str] | None:
        """What is in the collection on new; None when it is gone there too."""
        try:
            return self.new.etags(self.calendar.new_href)
        except DavRefused as error:
            if error.status not in (404, 410):
                raise
            return None

    def _named(self, hrefs: Sequence[str]) -> str:
        """A sentence about what its owner has on new, by name."""
        if not hrefs:
            return ""
        found = self.new.contents(self.calendar.new_href, self.calendar.kind, hrefs[:NAMED])  # type: ignore[arg-type]
        names = sorted((ical_compare.title(item.item) if item.item else "") or item.href for item in found)
        more = f", and {len(hrefs) - NAMED} more" if len(hrefs) > NAMED else ""
        return f"What its owner changed or added on new stays in either case: {', '.join(names)}{more}."

    def _remove_all(self, rows: Sequence[CalendarItemRow]) -> int:
        """Remove what Bascule put there; how many. Raises DavRefused at the end when new refuses to remove some."""
        deleted, refused = 0, None
        for row in rows:
            try:
                self.new.delete(row.new_href, if_match=row.new_etag)
                deleted += 1
            except DavRefused as error:
                if error.is_login:
                    raise
                refused = refused if error.status == 412 else error  # 412: its owner has changed it at this moment
        if refused:
            raise refused
        return deleted

    def _close(self, rows: Sequence[CalendarItemRow]) -> None:
        """Nothing is left to do about it. Where it is on new stays known, for the day when it comes back to old."""
        self.calendar.tag = ""
        with self.ledger.session() as session:
            forget_items(session, [row.id for row in rows])
            save_calendar(session, self.calendar)

    def _forget_all(self) -> None:
        log.info("a collection is gone from both", account=self.calendar.account, collection=self.calendar.old_href)
        if not self.dry_run:
            with self.ledger.session() as session:
                forget_calendar(session, self.calendar)

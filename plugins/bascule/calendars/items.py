"""Carry the items of one collection: what is new, changed or gone on old; what a person changed on new stays."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from itertools import islice
from typing import cast

from bascule.calendars import mass_deletion, repairs
from bascule.calendars.counts import Counts
from bascule.calendars.dav.client import Session
from bascule.calendars.dav.http import DavRefused
from bascule.calendars.dav.model import Content, Kind
from bascule.calendars.dav.writers import Writers
from bascule.calendars.item_questions import DAMAGED, UNREAD, ItemQuestions
from bascule.calendars.questions import Decided, Questions
from bascule.calendars.repairs import LEAVE_OUT, Reason
from bascule.calendars.servers import Source
from bascule.calendars.writing import Write, Writing, item_name, new_write
from bascule.ledger import Ledger
from bascule.ledger.calendars import CalendarItemRow, CalendarRow, forget_items, items
from bascule.problems import rules
from bascule.problems.kinds import kind_of
from bascule.problems.model import Action, Option

BATCH = 40  # items read at once


class Carrier:
    """One pass over one collection of one account."""

    def __init__(
        self,
        old: Source,
        new: Session,
        writers: Writers,
        ledger: Ledger,
        calendar: CalendarRow,
        questions: Questions,
        *,
        zone: str,
        dry_run: bool,
    ) -> None:
        self.old, self.new, self.dry_run = old, new, dry_run
        self.ledger, self.calendar, self.questions = ledger, calendar, questions
        self.counts = Counts(collections=1)
        self.is_complete = True  # the next pass need not look again while old stays as it is
        self._kind = cast(Kind, calendar.kind)
        self._known = items(ledger, calendar.id) if calendar.id else {}
        self._new_etags: Mapping[str, str] = {}
        self._about = ItemQuestions(questions, calendar)
        self._zone = zone
        self._writing = Writing(new, writers, calendar, questions, self._about, self._known, self.counts, zone)

    def run(self) -> None:
        """Carry everything. Raises AccessError when a server stays away."""
        listing = self.old.listing(self.calendar.old_href)
        new_exists = not self.dry_run or self.new.collection(self.calendar.new_href) is not None
        self._new_etags = self.new.etags(self.calendar.new_href) if new_exists else {}
        self.counts.items = len(listing.etags)
        for damage in listing.damages:  # what a damaged file doesn't show is not gone
            self.questions.not_carried(damage)
            self.counts.problems += 1
            self.is_complete = False
        if listing.is_whole:
            self._remove(self._to_remove(listing.etags))
        wanted = [href for href, etag in sorted(listing.etags.items()) if self._is_wanted(href, etag)]
        self.counts.unchanged = len(listing.etags) - len(wanted)
        if self.dry_run:
            fresh = sum(href not in self._known for href in wanted)
            self.counts.copied, self.counts.updated = fresh, len(wanted) - fresh
            return
        unread = {href for hrefs in _batches(wanted) for href in self._carry(hrefs)}
        if unread:
            self._report_unread(unread)
        self.counts.problems += self._about.asked

    def _is_wanted(self, href: str, etag: str) -> bool:
        """Whether the item is to be read and written now; what is known to be refused is not sent again as it is."""
        row = self._known.get(href)
        if row is None or row.state == "writing" or self.questions.on(row) or self.questions.is_to_be_tried(row):
            return True
        if row.old_etag != etag or (not etag and row.state == "carried"):
            return True
        if row.problem_id:
            self.questions.seen.add(row.problem_id)
            self.counts.problems += 1
        self.counts.kept += row.state == "carried" and self._new_etags.get(row.new_href) != row.new_etag
        return False

    def _to_remove(self, old_etags: Mapping[str, str]) -> list[CalendarItemRow]:
        """What is gone from old. When that is most of the collection, none of it until a person has said so."""
        gone = [row for href, row in self._known.items() if href not in old_etags]
        carried = [row for row in gone if row.state == "carried" and row.new_href in self._new_etags]
        if self.dry_run or not mass_deletion.is_many(carried, len(self._known)):
            return gone
        wanted = mass_deletion.decided(self.questions, self.calendar, "gone-from-old", len(carried), len(self._known))
        if wanted == "keep_new":
            self._forget(gone)
        elif not wanted:
            self.counts.problems += 1
            self.is_complete = False
        return gone if wanted == "remove" else []

    def _remove(self, rows: Sequence[CalendarItemRow]) -> None:
        """What is gone from old goes from new too, unless the user changed it there."""
        done = []
        for row in rows:
            present = self._new_etags.get(row.new_href)
            if row.state == "carried" and present is not None and not self.questions.on(row):
                if present != row.new_etag:
                    self.counts.kept += 1
                elif not self.dry_run and not self._is_removed(row):
                    continue
                else:
                    self.counts.deleted += 1
            done.append(row)
        if not self.dry_run:
            self._forget(done)
            self.questions.save([])

    def _is_removed(self, row: CalendarItemRow) -> bool:
        """Remove it from new, unless the user changes it at this moment; False when new refuses, which is a problem."""
        try:
            self.new.delete(row.new_href, if_match=row.new_etag)
        except DavRefused as error:
            if error.is_login:
                raise
            if error.status != 412:
                words = f"it is gone from old, and the new server refuses to remove it ({error.status})"
                source = Content(row.old_href, row.old_etag, "")
                self._about.ask(row, source, Reason("refused", words, LEAVE_OUT), "carried")
                return False
        return True

    def _forget(self, rows: Sequence[CalendarItemRow]) -> None:
        for row in rows:
            if decided := self.questions.on(row):
                self.questions.applied(decided[0])
        if rows:
            with self.ledger.session() as session:
                forget_items(session, [row.id for row in rows])

    def _carry(self, hrefs: Sequence[str]) -> set[str]:
        """One batch: read, note the intent, write, read back, note what came of it. Returns what could not be read."""
        writes, rows, broken = [], [], set()
        for source in self.old.contents(self.calendar.old_href, self._kind, hrefs):
            if source.broken:
                broken.add(source.href)
                continue
            row = self._known.setdefault(source.href, self._new_row(source))
            rows.append(row)
            write = self._plan(row, source)
            if write:
                writes.append(write)
        self.questions.save(row for row in rows if row.state != "new")
        self._writing.adopt([write for write in writes if write.row.state == "new"])
        self._writing.verify(self._writing.write([write for write in writes if write.row.state == "writing"]))
        self.questions.save(rows)
        return set(hrefs) - {row.old_href for row in rows} - broken

    def _report_unread(self, hrefs: Set[str]) -> None:
        """What old lists and doesn't give is a problem; what it no longer lists was removed meanwhile."""
        rows = []
        for href, etag in self.old.listing(self.calendar.old_href).etags.items():
            if href not in hrefs:
                continue
            source = Content(href, etag, "")
            row = self._known.setdefault(href, self._new_row(source))
            rows.append(row)
            if decided := self.questions.on(row):
                row.state = "kept" if row.state == "carried" else "left_out"
                row.old_etag, row.problem_id = etag, None
                self.questions.applied(decided[0])
            else:
                self._about.ask(row, source, UNREAD, "writing" if row.state == "new" else row.state)
        self.questions.save(rows)

    def _new_row(self, source: Content) -> CalendarItemRow:
        return CalendarItemRow(
            calendar_id=self.calendar.id,
            old_href=source.href,
            old_etag=source.etag,
            new_href=self.calendar.new_href + item_name(source.href, source.item),
            new_etag="",
            state="new",
        )

    def _plan(self, row: CalendarItemRow, source: Content) -> Write | None:
        """What to write for one item, by its history and by what was decided. None: nothing."""
        decided = self.questions.on(row) if row.old_etag == source.etag else None
        present = self._new_etags.get(row.new_href)
        if decided:
            return self._as_decided(row, source, decided)
        row.problem_id = None
        if source.item is None:  # not sent: a login page is no event. Read again by the next pass
            reason = replace(DAMAGED, particular=source.why_not)
            self._about.ask(row, source, reason, "writing" if row.state == "new" else row.state)
            return None
        if row.state == "kept" or (row.state == "carried" and present != row.new_etag):
            self._about.conflict(row, source, "removed" if present is None else "changed")
            return None
        write = new_write(row, source, source.item, self._zone)
        if row.state == "new" and present is not None:
            return write
        write.taken_up = row.state == "writing" and not row.new_etag
        if row.state == "carried" or (row.new_etag and present == row.new_etag):
            write.replaces = present
        row.state, row.old_etag = "writing", source.etag
        return write

    def _as_decided(self, row: CalendarItemRow, source: Content, decided: Decided) -> Write | None:
        """What the decision wants to be written; None when nothing is, which settles the problem."""
        problem, made = decided
        as_it_is = made.option is not Option.APPLY and kind_of(problem).leave_out == "as it is"
        # Who stays on old for the mail's sake gets the calendars carried, and nothing of them is taken away again.
        on_new_already = made.option is Option.KEEP_ON_OLD and row.state == "carried"
        stays = as_it_is or on_new_already or rules.applies(made, Action.KEEP_NEW, Action.ACCEPT)
        if stays or made.option is not Option.APPLY or rules.leaves_out(made):
            if not stays and row.state == "carried" and row.new_etag:
                self._take_back(row)
            kept = "carried" if problem.kind in ("altered", "charset") else "kept"
            row.state = kept if stays else "left_out"
            row.old_etag, row.problem_id = source.etag, None
            self.questions.applied(problem)
            return None
        try:
            if source.item is None:
                raise ValueError(source.why_not)
            item = repairs.repaired(source.item, made.chosen)
        except ValueError as error:
            reason = Reason(problem.kind, f"the decision can't be applied: {error}", problem.proposal)
            self._about.ask(row, source, reason, row.state, problem.id)
            return None
        row.new_href = self.calendar.new_href + item_name(source.href, item)
        write = replace(new_write(row, source, item, self._zone), decided=decided)
        if rules.applies(made, Action.TAKE_OLD):
            write.replaces = self._new_etags.get(row.new_href)
        row.state, row.old_etag, row.problem_id = "writing", source.etag, None
        return write

    def _take_back(self, row: CalendarItemRow) -> None:
        """Remove what new has changed and a person doesn't want so; the user's own later version stays."""
        try:
            self.new.delete(row.new_href, if_match=row.new_etag)
        except DavRefused as error:
            if error.status != 412:
                raise


def _batches(hrefs: Sequence[str]) -> Iterator[list[str]]:
    left = iter(hrefs)
    while batch := list(islice(left, BATCH)):
        yield batch

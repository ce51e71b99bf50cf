"""Write items on new, read them back, and compare them with what old says; refusals become problems."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from bascule.calendars import ical_compare, repairs
from bascule.calendars.counts import Counts
from bascule.calendars.dav.client import Session
from bascule.calendars.dav.http import DavNonsense, DavRefused
from bascule.calendars.dav.model import Content, Kind, normal
from bascule.calendars.dav.writers import Put, Writers
from bascule.calendars.ical import series, vcard21
from bascule.calendars.ical.syntax import Component, folded, written
from bascule.calendars.item_questions import VANISHED, ItemQuestions, altered, guessed_charset
from bascule.calendars.questions import Decided, Questions
from bascule.calendars.repairs import Reason
from bascule.ledger.calendars import CalendarItemRow, CalendarRow
from bascule.problems.model import Action, Proposal
from bascule.text.logs import get_logger

log = get_logger(__name__)

PASSING = (412, 423, 429)  # refusals that may be another one at the next pass; so are those of 500 and more


@dataclass(eq=False)
class Write:
    """One item on its way: its row, what old has, what it must say on new, and the new version that it replaces.

    `said`: what old says, or what a person has made of it. `taken_up`: a pass that died was about to write it where
    nothing was.
    """

    row: CalendarItemRow
    source: Content
    said: Component
    text: str
    replaces: str | None = None
    decided: Decided | None = None
    taken_up: bool = False


def new_write(row: CalendarItemRow, source: Content, item: Component, site_zone: str) -> Write:
    """The item as it is sent: with a UID, cards in version 3.0, the dates of a series in one form."""
    if not ical_compare.uid(item) and item.items():
        item = repairs.with_uid(item, repairs.made_uid(item))
    if vcard21.is_old(item):
        return Write(row, source, item, vcard21.as_version_3(item))
    sent = series.in_one_form(item, site_zone)
    as_it_is = sent is source.item and source.told is None and "CHARSET=" not in source.text.upper()
    return Write(row, source, item, crlf(source.text) if as_it_is else folded(written(sent)))


class Writing:
    """What a pass does with the items of one collection on new. `known`: the collection's items by their old href."""

    def __init__(
        self,
        new: Session,
        writers: Writers,
        calendar: CalendarRow,
        questions: Questions,
        about: ItemQuestions,
        known: Mapping[str, CalendarItemRow],
        counts: Counts,
        zone: str,
    ) -> None:
        self.new, self.writers, self.calendar = new, writers, calendar
        self.questions, self.about, self.known, self.counts, self.zone = questions, about, known, counts, zone
        self.kind = cast(Kind, calendar.kind)

    def adopt(self, writes: Sequence[Write]) -> None:
        """What is on new already before anything was carried: the same is taken as carried, another one stays."""
        hrefs = [write.row.new_href for write in writes]
        found = {item.href: item for item in self.new.contents(self.calendar.new_href, self.kind, hrefs)}
        for write in writes:
            there = found.get(normal(write.row.new_href))
            if there and ical_compare.same(write.said, there.item or there.text, self.zone):
                write.row.state, write.row.new_etag = "carried", there.etag
                self.counts.copied += 1
            else:
                self.about.conflict(write.row, write.source, "there")

    def write(self, writes: Sequence[Write]) -> list[Write]:
        """Write these items; those that are on new now. Two of one UID one after the other, so that one is refused."""
        first = list({ical_compare.uid(write.said) or write.row.old_href: write for write in reversed(writes)}.values())
        later = [write for write in writes if write not in first]
        return [write for round in (first[::-1], later) for write in self._round(round)]

    def _round(self, writes: Sequence[Write]) -> Iterator[Write]:
        puts = [Put(write.row.new_href, self.kind, write.text, write.replaces) for write in writes]
        for write, error in zip(writes, self.writers.put(puts), strict=True):
            if error is None or self._is_there_all_the_same(write, error):
                if write.replaces is None:
                    self.counts.copied += 1
                else:
                    self.counts.updated += 1
                yield write

    def _is_there_all_the_same(self, write: Write, error: DavRefused, *, again: bool = True) -> bool:
        """Whether a refused item is on new (an answer was lost, the user had it already); else it is a problem."""
        if error.is_login:
            raise error
        passing = error.status in PASSING or error.status >= 500
        present = self._present(write.row.new_href)
        as_before = (present.etag if present else None) == write.replaces
        if again and as_before and (error.status == 412 or error.status >= 500):
            try:
                self.new.put(write.row.new_href, self.kind, write.text, if_match=write.replaces)
                return True
            except DavRefused as second:
                return self._is_there_all_the_same(write, second, again=False)
        if present is None and error.status in (403, 409, 412) and (uid := ical_compare.uid(write.said)):
            present = self._by_uid(uid)
        if present is None or (as_before and present.etag == write.replaces):
            reason = replace(repairs.propose(write.said, error.status), server_words=str(error))
            self._ask(write, reason, "writing" if passing else "refused")
            return False
        return self._is_ours_or_asked(write, present, error)

    def _is_ours_or_asked(self, write: Write, present: Content, error: DavRefused) -> bool:
        """Whether what stands on new under this name or UID is this item."""
        there = present.item or present.text
        ours = write.taken_up and ical_compare.uid(there) == ical_compare.uid(write.said) != ""
        if ical_compare.same(write.said, there, self.zone) or (ours and present.href == normal(write.row.new_href)):
            write.row.new_href = present.href
            return True
        other = next((row for row in self.known.values() if row.new_href == present.href), None)
        if other is not None and other.old_href != write.row.old_href:
            words = "two items of the old collection have one UID"
            where = f"the other one is at {present.href} now"
            reason = Reason("duplicate-uid", words, Proposal(Action.NEW_UID), where, str(error))
            self._ask(write, reason, "refused")
        else:
            self.about.conflict(write.row, write.source, "there")
        return False

    def _present(self, href: str) -> Content | None:
        try:
            return self.new.get(href)
        except DavRefused as error:
            if error.is_login:
                raise
        except DavNonsense:
            pass
        return None

    def _by_uid(self, uid: str) -> Content | None:
        try:
            return self.new.find_uid(self.calendar.new_href, self.kind, uid)
        except (DavRefused, DavNonsense) as error:
            log.warning("new can't be asked for a UID", collection=self.calendar.new_href, why=str(error))
            return None

    def verify(self, writes: Sequence[Write]) -> None:
        """Read back what was written: its etag for the next pass, and whether it still means the same."""
        hrefs = [write.row.new_href for write in writes]
        found = {item.href: item for item in self.new.contents(self.calendar.new_href, self.kind, hrefs)}
        for write in writes:
            there = found.get(normal(write.row.new_href))
            if there is None:
                self._ask(write, VANISHED, "writing")
                continue
            write.row.state, write.row.new_etag = "carried", there.etag
            lost = ical_compare.differences(write.said, there.item or there.text, self.zone)
            if lost:
                self._ask(write, altered(lost, write.source.guessed), "carried")
            elif write.source.guessed:
                self._ask(write, guessed_charset(write.source.guessed), "carried")
            elif write.decided:
                self.questions.applied(write.decided[0])

    def _ask(self, write: Write, reason: Reason, state: str) -> None:
        self.about.ask(write.row, write.source, reason, state, write.decided[0].id if write.decided else None)


def item_name(href: str, item: Component | None) -> str:
    """The last part of the item's path on new: as on old where that is harmless, else made from its UID."""
    name = href.rsplit("/", 1)[-1]
    kind = item.name if item else "VCALENDAR"
    ending = {"VCARD": ".vcf", "VLIST": ".vlf"}.get(kind, ".ics")
    if len(name) <= 200 and not set("+%;,&'()!$*=~:@") & set(name) and "." in name.strip("."):
        return name
    return repairs.new_name(f"{href}\n{ical_compare.uid(item) if item else ''}") + ending


def crlf(text: str) -> str:
    """The text with the line ends that RFC 5545 and RFC 6350 want; XML has made them LF on the way."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n").rstrip("\r\n") + "\r\n"

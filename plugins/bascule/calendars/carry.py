"""Carry the items of one collection: what is new, changed or gone on old; what a person changed on new stays."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

import structlog

from bascule.calendars import losses, meaning, repairs
from bascule.calendars.dav import Content, DavRefused, Session, normal
from bascule.calendars.servers import Source
from bascule.ledger import Ledger
from bascule.ledger.calendars import CalendarItemRow, CalendarRow, forget_items, items, save_items
from bascule.ledger.problems import Decision, Option, Problem, report, settle

log = structlog.get_logger(__name__)

BATCH = 40  # items read at once
KEPT_TEXT = 20_000  # characters of an item that are kept with its problem


@dataclass
class Counts:
    """What one pass did, in items (but for `collections`)."""

    collections: int = 0
    items: int = 0
    copied: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    kept: int = 0  # changed or removed by the user on new, and left so
    problems: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{item.name: getattr(self, item.name) + getattr(other, item.name) for item in fields(self)})


@dataclass
class Write:
    """One item on its way: its row, what old has, what shall be written, and the new version that it replaces."""

    row: CalendarItemRow
    source: Content
    text: str
    replaces: str | None
    decided: Problem | None = None
    altered_accepted: bool = False


class Carrier:
    """One pass over one collection of one account."""

    def __init__(
        self,
        old: Source,
        new: Session,
        ledger: Ledger,
        calendar: CalendarRow,
        decided: losses.Decisions,
        *,
        zone: str,
        dry_run: bool,
    ) -> None:
        self.old, self.new, self.ledger, self.calendar = old, new, ledger, calendar
        self.zone, self.dry_run = zone, dry_run
        self.counts = Counts(collections=1)
        self.seen: set[int] = set()  # problems that this pass met, or that are known to be there still
        self.is_complete = True  # the next pass need not look again while old stays as it is
        self._decided = decided
        self._kind: Any = calendar.kind

    def run(self) -> None:
        """Carry everything. Raises AccessError when a server stays away."""
        old_etags = self.old.etags(self.calendar.old_href)
        known = items(self.ledger, self.calendar.id) if self.calendar.id else {}
        new_exists = not self.dry_run or self.new.collection(self.calendar.new_href) is not None
        new_etags = self.new.etags(self.calendar.new_href) if new_exists else {}
        self.counts.items = len(old_etags)
        self._remove(self._to_remove(known, old_etags, new_etags), new_etags)
        wanted = [href for href, etag in sorted(old_etags.items()) if self._is_wanted(known.get(href), etag, new_etags)]
        self.counts.unchanged = len(old_etags) - len(wanted)
        if self.dry_run:
            fresh = sum(href not in known for href in wanted)
            self.counts.copied, self.counts.updated = fresh, len(wanted) - fresh
            return
        unread = {href for hrefs in _batches(wanted) for href in self._carry(hrefs, known, new_etags)}
        if unread:
            self._report_unread(unread, known)

    def _is_wanted(self, row: CalendarItemRow | None, etag: str, new_etags: Mapping[str, str]) -> bool:
        if row is None or row.state == "writing":
            return True
        if row.problem_id and self._decision_of(row.problem_id):
            return True
        if row.state == "refused":
            return True
        if row.problem_id:
            self.seen.add(row.problem_id)
        if row.old_etag == etag and (etag or row.state != "carried"):
            self.counts.kept += row.state == "carried" and new_etags.get(row.new_href) != row.new_etag
            return False
        return True

    def _to_remove(
        self, known: Mapping[str, CalendarItemRow], old_etags: Mapping[str, str], new_etags: Mapping[str, str]
    ) -> list[CalendarItemRow]:
        """What is gone from old. When that is most of the collection, none of it until a person has said so."""
        gone = [row for href, row in known.items() if href not in old_etags]
        carried = [row for row in gone if row.state == "carried" and row.new_href in new_etags]
        if self.dry_run or not losses.is_many(carried, len(known)):
            return gone
        wanted, problem_id = losses.decided(
            self.ledger, self.calendar, "gone-from-old", len(carried), len(known), self._decided
        )
        if wanted == "keep_new":
            self._forget(gone)
        elif not wanted:
            self.seen.add(problem_id)
            self.counts.problems += 1
            self.is_complete = False
        return gone if wanted == "remove" else []

    def _remove(self, rows: Sequence[CalendarItemRow], new_etags: Mapping[str, str]) -> None:
        """What is gone from old goes from new too, unless the user changed it there."""
        for row in rows:
            present = new_etags.get(row.new_href)
            if row.state != "carried" or present is None:
                continue
            if present != row.new_etag:
                self.counts.kept += 1
                continue
            self.counts.deleted += 1
            if not self.dry_run:
                try:
                    self.new.delete(row.new_href, if_match=row.new_etag)
                except DavRefused as error:
                    if error.status != 412:
                        raise
        if not self.dry_run:
            self._forget(rows)

    def _forget(self, rows: Sequence[CalendarItemRow]) -> None:
        if rows:
            with self.ledger.session() as session:
                forget_items(session, [row.id for row in rows])

    def _carry(
        self, hrefs: Sequence[str], known: Mapping[str, CalendarItemRow], new_etags: Mapping[str, str]
    ) -> set[str]:
        """One batch: read, note the intent, write, read back, note what came of it. Returns what could not be read."""
        writes, rows = [], []
        for source in self.old.contents(self.calendar.old_href, self._kind, hrefs):
            row = known.get(source.href) or self._new_row(source)
            write = self._plan(row, source, new_etags.get(row.new_href))
            if write:
                writes.append(write)
            rows.append(row)
        with self.ledger.session() as session:
            save_items(session, rows)
        written = [write for write in writes if self._write(write)]
        self._verify(written)
        with self.ledger.session() as session:
            save_items(session, rows)
        return set(hrefs) - {row.old_href for row in rows}

    def _report_unread(self, hrefs: Set[str], known: Mapping[str, CalendarItemRow]) -> None:
        """What old lists and doesn't give is a problem; what it no longer lists was removed meanwhile."""
        rows = []
        for href, etag in self.old.etags(self.calendar.old_href).items():
            if href not in hrefs:
                continue
            source = Content(href, etag, "")
            row = known.get(href) or self._new_row(source)
            rows.append(row)
            decided = self._decision_on(source)
            if decided and (decided[1].option is not Option.APPLY or _action(decided) == "leave_out"):
                row.state, row.old_etag, row.problem_id = "kept" if row.state == "carried" else "left_out", etag, None
                with self.ledger.session() as session:
                    settle(session, decided[0].id)
                continue
            self._report(
                Write(row, source, "", None, decided[0] if decided else None),
                "unreadable",
                "The old server lists the item and doesn't give it: look at its log, or open the item there.",
                repairs.LEAVE_OUT,
                state="refused" if row.state == "new" else row.state,
            )
        with self.ledger.session() as session:
            save_items(session, rows)

    def _new_row(self, source: Content) -> CalendarItemRow:
        return CalendarItemRow(
            calendar_id=self.calendar.id,
            old_href=source.href,
            old_etag=source.etag,
            new_href=self.calendar.new_href + item_name(source),
            new_etag="",
            state="new",
        )

    def _plan(self, row: CalendarItemRow, source: Content, present: str | None) -> Write | None:
        """What to write for one item, by its history and by what was decided. None: nothing."""
        text, decided = crlf(source.text), self._decision_on(source)
        replaces, tried = None, row.state in ("writing", "refused")
        if decided:
            try:
                chosen = self._as_decided(row, source, *decided)
            except ValueError as error:
                write = Write(row, source, text, None, decided[0])
                self._report(write, decided[0].kind, f"The decision can't be applied: {error}.", decided[0].proposal)
                return None
            if chosen is None:
                return None
            text = chosen
            row.new_href = self.calendar.new_href + item_name(Content(source.href, source.etag, text))
            replaces = present if decided[1].values.get("action") == "take_old" else None
        elif row.state == "carried":
            if present != row.new_etag:
                self._conflict(row, source, removed=present is None)
                return None
            replaces = present
        elif row.state == "kept":
            self._conflict(row, source, removed=present is None)
            return None
        elif tried and present is not None:
            replaces = present if present == row.new_etag else None
        row.state, row.old_etag, row.problem_id = "writing", source.etag, None
        return Write(row, source, text, replaces, decided[0] if decided else None)

    def _write(self, write: Write, *, again: bool = True) -> bool:
        """Write one item, once more after a refusal that left everything as it was; False when it became a problem."""
        row = write.row
        try:
            self.new.put(row.new_href, self._kind, write.text, if_match=write.replaces)
        except DavRefused as error:
            return self._refused(write, error, again=again)
        if write.replaces is None:
            self.counts.copied += 1
        else:
            self.counts.updated += 1
        return True

    def _refused(self, write: Write, error: DavRefused, *, again: bool) -> bool:
        """Whether the item is there all the same (an answer was lost, the user had it already); else a problem."""
        if error.status in (401, 407):
            raise error
        present = self.new.get(write.row.new_href)
        as_before = (present.etag if present else None) == write.replaces
        if again and as_before and (error.status == 412 or error.status >= 500):
            return self._write(write, again=False)
        if present is None and error.status in (403, 409, 412) and (uid := meaning.uid(write.text)):
            present = self.new.find_uid(self.calendar.new_href, self._kind, uid)
        if present is None or (as_before and present.etag == write.replaces):
            self._report(write, *repairs.propose(write.text, error.status, error.words), words=str(error))
            return False
        if meaning.same(write.text, present.text, self.zone):
            write.row.new_href = present.href
            self.counts.copied += 1
            return True
        if self._is_ours(present.href, write.row):
            self._report(
                write,
                "duplicate-uid",
                f"Two items of the old collection have this UID; the other one is at {present.href} now.",
                {"action": "new_uid"},
                words=str(error),
            )
        else:
            self._conflict(write.row, write.source, removed=False)
        return False

    def _is_ours(self, new_href: str, row: CalendarItemRow) -> bool:
        return any(
            other.new_href == new_href and other.old_href != row.old_href
            for other in items(self.ledger, self.calendar.id).values()
        )

    def _verify(self, writes: Sequence[Write]) -> None:
        """Read back what was written: its etag for the next pass, and whether it still means the same."""
        hrefs = [write.row.new_href for write in writes]
        found = {item.href: item for item in self.new.contents(self.calendar.new_href, self._kind, hrefs)}
        for write in writes:
            there = found.get(normal(write.row.new_href))
            if there is None:
                self._report(
                    write,
                    "vanished",
                    "The new server accepted the item and doesn't have it.",
                    repairs.LEAVE_OUT,
                )
                continue
            write.row.state, write.row.new_etag = "carried", there.etag
            lost = meaning.differences(write.text, there.text, self.zone)
            if lost and not (write.decided and write.decided.kind == "altered"):
                self._report(
                    write,
                    "altered",
                    f"The new server changed the item: {'; '.join(lost)}.",
                    {"action": "accept"},
                    state="carried",
                )
            elif write.decided:
                with self.ledger.session() as session:
                    settle(session, write.decided.id)

    def _conflict(self, row: CalendarItemRow, source: Content, *, removed: bool) -> None:
        what = "removed it on the new server" if removed else "has another version of it on the new server"
        row.old_etag = source.etag
        self._report(
            Write(row, source, source.text, None),
            "both-changed",
            f"The item changed on the old server, and the user {what}, which stays unless you decide otherwise.",
            {"action": "keep_new"},
            state="kept",
            choices=["keep_new", "take_old"],
        )

    def _report(
        self,
        write: Write,
        kind: str,
        explanation: str,
        proposal: dict[str, Any],
        *,
        words: str = "",
        state: str = "refused",
        choices: Sequence[str] = (),
    ) -> None:
        problem = Problem(
            account=self.calendar.account,
            room="calendar",
            kind=kind,
            subject=write.source.href,
            explanation=explanation,
            # A decision that didn't help is asked again: the facts are no longer those that it was taken on.
            facts={"old_etag": write.source.etag} | ({"tried": write.decided.id} if write.decided else {}),
            details={"title": meaning.title(write.source.text), "text": write.source.text[:KEPT_TEXT]}
            | ({"choices": list(choices)} if choices else {}),
            server_words=words,
            proposal=proposal,
        )
        with self.ledger.session() as session:
            write.row.problem_id = report(session, problem)
        write.row.state = state
        self.seen.add(write.row.problem_id)
        self.counts.problems += 1
        log.warning("an item is a problem", account=self.calendar.account, kind=kind, item=write.source.href)

    def _decision_of(self, problem_id: int) -> Decision | None:
        return next((made for problem, made in self._decided.values() if problem.id == problem_id), None)

    def _decision_on(self, source: Content) -> tuple[Problem, Decision] | None:
        """The decision in force on this item in this version that still has to be applied."""
        return next(
            (
                (problem, made)
                for (_, subject), (problem, made) in self._decided.items()
                if subject == source.href
                and problem.state == "decided"
                and problem.facts.get("old_etag") == source.etag
            ),
            None,
        )

    def _as_decided(self, row: CalendarItemRow, source: Content, problem: Problem, made: Decision) -> str | None:
        """The text that the decision wants; None when nothing is to be written, which settles the problem."""
        values = made.values or problem.proposal
        keeps = values.get("action") in ("keep_new", "accept", "leave_out")
        if made.option is Option.APPLY and not keeps:
            return repairs.repair(crlf(source.text), values)
        stays = made.option is Option.APPLY and values.get("action") in ("keep_new", "accept")
        if not stays and row.state == "carried" and row.new_etag:
            self._take_back(row)
        row.state = ("carried" if problem.kind == "altered" else "kept") if stays else "left_out"
        row.old_etag, row.problem_id = source.etag, None
        with self.ledger.session() as session:
            settle(session, problem.id)
        return None

    def _take_back(self, row: CalendarItemRow) -> None:
        """Remove what new has changed and a person doesn't want so; the user's own later version stays."""
        try:
            self.new.delete(row.new_href, if_match=row.new_etag)
        except DavRefused as error:
            if error.status != 412:
                raise


def _action(decided: tuple[Problem, Decision]) -> Any:
    problem, made = decided
    return (made.values or problem.proposal).get("action")


def item_name(item: Content) -> str:
    """The last part of the item's path on new: as on old where that is harmless, else made from its UID."""
    name = item.href.rsplit("/", 1)[-1]
    begin = item.text[:200].upper()
    ending = ".vcf" if "BEGIN:VCARD" in begin else ".vlf" if "BEGIN:VLIST" in begin else ".ics"
    if len(name) <= 200 and not set("+%;,&'()!$*=~:@") & set(name) and "." in name.strip("."):
        return name
    return repairs.new_uid(f"{item.href}\n{meaning.uid(item.text)}") + ending


def crlf(text: str) -> str:
    """The text with the line ends that RFC 5545 and RFC 6350 want; XML has made them LF on the way."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n").rstrip("\r\n") + "\r\n"


def _batches(hrefs: Sequence[str]) -> Iterator[list[str]]:
    left = iter(hrefs)
    while batch := list(islice(left, BATCH)):
        yield batch

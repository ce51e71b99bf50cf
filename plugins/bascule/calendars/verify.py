"""A verification by itself: everything that old has now against everything that new has, by UID. Nothing is changed.

Nothing comes from what passes believe: the items of old are read from its own octets (files are not taken apart as for
carrying), those of new as it gives them, and whoever has one UID is compared. The ledger says only which collection
went where, and why an item is not the same: its owner changed it on new, or somebody decided so.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from bascule.calendars import ical_compare, servers
from bascule.calendars.account import KINDS
from bascule.calendars.dav.client import Session
from bascule.calendars.dav.http import DavNonsense, DavRefused
from bascule.calendars.dav.model import Kind
from bascule.calendars.exported_items import in_series, uid_of
from bascule.calendars.ical import zones
from bascule.calendars.ical.syntax import CARDS, Component, written
from bascule.calendars.places import name_of
from bascule.calendars.questions import ROOM
from bascule.calendars.repairs import with_uid
from bascule.calendars.servers import Source
from bascule.hosts.access import Access
from bascule.ledger import Ledger
from bascule.ledger.calendars import CalendarRow, calendars, items
from bascule.problems import store
from bascule.text.logs import get_logger

log = get_logger(__name__)

Pair = tuple[Component | None, Component | None]  # (of old, of new)

# Why an item may differ, by the state of its row.
OF_NEW = "old has no such item: its owner's own, or somebody else's"
KNOWN = {"kept": "its owner changed it on new, or removed it there", "left_out": "left out by decision"}


@dataclass
class Verification:
    """What was compared, in items, and each difference as a line. `unknown`: differences that nothing explains."""

    compared: int = 0
    same: int = 0
    unknown: int = 0
    lines: list[str] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)

    def __iadd__(self, other: "Verification") -> "Verification":
        self.compared, self.same = self.compared + other.compared, self.same + other.same
        self.unknown += other.unknown
        self.lines += other.lines
        self.not_compared += other.not_compared
        return self


def verify_account(access: Access, ledger: Ledger, account: str) -> Verification:
    """Compare everything of one account. Raises AccessError when a server stays away."""
    done, zone = Verification(), access.site.timezone
    rows = {row.old_href: row for row in calendars(ledger, account)}
    with (
        servers.opened_source(access, account) as old,
        servers.opened(access, access.site.calendars.new, account) as new,
    ):
        for kind in KINDS:
            try:
                found = old.session.collections(old.home(kind), kind)
            except DavRefused as error:
                if error.status not in (404, 410):
                    raise
                done.not_compared.append(f"old has nothing at {old.home(kind)}")
                continue
            done.not_compared += [f"{other.name}: {other.why}" for other in found.others]
            for collection in found.collections:
                name = f"“{name_of(collection)}” ({collection.href})"
                row = rows.get(collection.href)
                if row is None or collection.broken:
                    done.not_compared.append(f"{name}: {'it can’t be read' if row else 'it was not carried yet'}")
                    continue
                try:
                    done += Comparison(old.session, new.session, ledger, row, kind, zone).run()
                except (DavRefused, DavNonsense) as error:
                    if isinstance(error, DavRefused) and error.is_login:
                        raise
                    done.not_compared.append(f"{name}: {error}")
    log.info("calendars verified", account=account, compared=done.compared, same=done.same, differences=len(done.lines))
    return done


class Comparison:
    """One collection of old and what new has of it."""

    def __init__(self, old: Source, new: Session, ledger: Ledger, row: CalendarRow, kind: Kind, zone: str) -> None:
        self.old, self.new, self.ledger, self.row, self.kind, self.zone = old, new, ledger, row, kind, zone
        self.done = Verification()

    def run(self) -> Verification:
        old, new = self.old.read_all(self.row.old_href, self.kind), self.new.read_all(self.row.new_href, self.kind)
        self.done.not_compared += [*old.not_read, *(f"on new, {words}" for words in new.not_read)]
        before, after = _by_uid(old.objects), _by_uid(new.objects)
        self.done.compared, explained = sum(map(len, before.values())), self._explained()
        for uid in sorted(before.keys() | after.keys()):
            for ours, theirs in self._pairs(before.get(uid, []), after.get(uid, [])):
                words = self._words(ours, theirs)
                either = ours or theirs
                if words and either:
                    self._tell(either, words, explained.get(uid, "") if ours else OF_NEW)
                else:
                    self.done.same += 1
        return self.done

    def _pairs(self, ours: Sequence[Component], theirs: Sequence[Component]) -> Iterator[Pair]:
        """Items of one UID, each with its like; then the others as they come."""
        others, left = list(ours), list(theirs)
        for item in ours if len(ours) + len(theirs) > 2 else ():
            like = next((each for each in left if ical_compare.same(item, each, self.zone)), None)
            if like is not None:
                others.remove(item)
                left.remove(like)
                yield item, like
        yield from zip_longest(others, left)

    def _tell(self, item: Component, words: tuple[str, str], why: str) -> None:
        self.done.unknown += not why
        kind = "calendar" if self.kind == "calendar" else "address book"
        title = ical_compare.title(item) or uid_of(item.items()[0])
        where = f"“{title}” in the {kind} “{name_of(self.row)}”"
        self.done.lines.append(f"{words[0]}: {where}{words[1]}" + (f" ({why})" if why else ""))

    def _words(self, ours: Component | None, theirs: Component | None) -> tuple[str, str] | None:
        """(the kind of difference, the details); None when both mean the same."""
        if theirs is None:
            return "absent on new", ""
        if ours is None:
            return "only on new", ""
        found = ical_compare.differences(ours, theirs, self.zone)
        kinds = ", ".join(sorted({difference.what for difference in found}))
        return (f"another {kinds} on new", f": {'; '.join(each.words for each in found)}") if found else None

    def _explained(self) -> dict[str, str]:
        """UID -> why the item may differ: what was asked or decided about it, or what its owner did on new."""
        states = {href: KNOWN[row.state] for href, row in items(self.ledger, self.row.id).items() if row.state in KNOWN}
        opened = store.problems(self.ledger, account=self.row.account, room=ROOM)
        asked = {problem.subject: f"asked about as {problem.kind}" for problem in opened}
        decided = store.decisions(self.ledger, self.row.account, ROOM)
        why = states | asked | {problem.subject: f"by decision of {made.decided_by}" for problem, made in decided}
        hrefs = [href for href in why if href.startswith(self.row.old_href)]
        found = self.old.contents(self.row.old_href, self.kind, hrefs)
        return {uid_of(part): why[content.href] for content in found if content.item for part in content.item.items()}


def _by_uid(objects: Iterable[Component]) -> dict[str, list[Component]]:
    """What stands under each UID, once: each card, and the events of a series with the zones of their own calendars."""
    found: dict[str, list[Component]] = {}
    for each in objects:
        described, head = zones.described(each), [line for line in each.lines if line.name == "VERSION"]
        for part in in_series(each).items():
            uid = uid_of(part)
            named, is_card = with_uid(part, uid), part.name in CARDS
            several = found.setdefault(uid, [] if is_card else [Component("VCALENDAR", lines=head)])
            there = several if is_card else several[0].parts
            if all(written(named) != written(other) for other in there):
                used = [] if is_card else [described[name] for name in zones.used(part) if name in described]
                there += [zone for zone in used if zone not in there] + [named]
    return found

"""One pass over all calendars and address books of one account. One that fails holds back no other."""

from collections.abc import Set
from dataclasses import dataclass, field

from bascule.calendars import mass_deletion, places
from bascule.calendars.counts import Counts
from bascule.calendars.dav import xml
from bascule.calendars.dav.http import DavError, DavNonsense, DavRefused
from bascule.calendars.dav.model import Collection, Found, Kind, NotCarried, unreadable
from bascule.calendars.deleted import Deleted
from bascule.calendars.items import Carrier
from bascule.calendars.questions import Questions
from bascule.calendars.servers import Server, Source, Target
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger
from bascule.ledger.calendars import CalendarRow, calendars, count_items, items, problem_ids, save_calendar, save_items
from bascule.text.logs import get_logger

log = get_logger(__name__)

KINDS: tuple[Kind, ...] = ("calendar", "addressbook")
AWAY = 2  # collections in which a server stayed away before the others are not tried


@dataclass
class _Failures:
    """Collections that could not be carried now, and may be at the next try."""

    lines: list[str] = field(default_factory=list)

    def add(self, collection: Collection, why: str) -> None:
        self.lines.append(f"“{places.name_of(collection)}” ({collection.href}): {why}")

    def check(self) -> None:
        if self.lines:
            raise AccessError("; ".join(self.lines))


class AccountPass:
    """What one pass does for one account. Raises AccessError when a server stays away."""

    def __init__(
        self, access: Access, ledger: Ledger, account: str, old: Server[Source], new: Target, *, dry_run: bool
    ) -> None:
        self.site, self.zone = access.site.calendars, access.site.timezone
        self.ledger, self.account = ledger, account
        self.old, self.new, self.dry_run = old, new, dry_run
        self.known = {row.old_href: row for row in calendars(ledger, account)}
        self.questions = Questions(ledger, account, dry_run=dry_run)
        self.failures = _Failures()

    def run(self) -> Counts:
        total = Counts()
        for kind in KINDS:
            found = self._collections(kind)
            if found is None:
                continue
            for other in found.others:
                self.questions.not_carried(other)
            total += Counts(problems=len(found.others))
            total += self._follow_deletions(kind, {collection.href for collection in found.collections})
            for collection in found.collections:
                total += self._isolated(collection)
        self.failures.check()
        self.questions.finish()
        log.info("calendars of one account", account=self.account, dry_run=self.dry_run, **vars(total))
        return total

    def _collections(self, kind: Kind) -> Found | None:
        """Old's collections of this kind; None when it can't tell, which fails the pass at its end.

        A home that isn't there holds none, unless some were carried from it.
        """
        home = self.old.home(kind)
        try:
            return self.old.session.collections(home, kind)
        except (DavRefused, DavNonsense) as error:
            if isinstance(error, DavRefused) and error.is_login:
                raise
            gone = isinstance(error, DavRefused) and error.status in (404, 410)
            if not gone or any(row.kind == kind for row in self.known.values()):
                self.failures.lines.append(f"{home}: {error}")
                return None
            log.info("old has nothing of this account", account=self.account, kind=kind, home=home)
            return Found([])

    def _follow_deletions(self, kind: Kind, here: Set[str]) -> Counts:
        """What was carried and is no longer among the collections that old has."""
        total = Counts()
        for row in [row for row in self.known.values() if row.kind == kind and row.old_href not in here]:
            try:
                total += Deleted(self.new.session, self.ledger, row, self.questions, dry_run=self.dry_run).run()
            except (DavRefused, DavNonsense) as error:
                if isinstance(error, DavRefused) and error.is_login:
                    raise
                collection = Collection(row.old_href, kind, row.properties)
                total += self._is_a_problem(collection, unreadable(collection, str(error)))
        return total

    def _isolated(self, collection: Collection) -> Counts:
        """Carry one collection. What keeps it away for good is asked about; what may pass fails the pass at its end."""
        if collection.broken:
            return self._is_a_problem(collection, *collection.broken)
        try:
            return self._carry(collection)
        except DavError as error:
            if isinstance(error, DavNonsense):
                return self._is_a_problem(collection, unreadable(collection, str(error)))
            self.failures.add(collection, str(error))
            if len(self.failures.lines) >= AWAY:
                self.failures.check()
        except AccessError as error:
            if isinstance(error, DavRefused) and error.is_login:
                raise
            return self._is_a_problem(collection, unreadable(collection, str(error)))
        except Exception:  # a mistake of ours in one collection must not hold back the others
            log.exception("a collection failed", account=self.account, collection=collection.href)
            self.failures.add(collection, "Bascule made a mistake, which stands in the log: please report it")
        return Counts(collections=1)

    def _is_a_problem(self, collection: Collection, *what: NotCarried) -> Counts:
        """Nothing of this collection is carried, and nothing that was carried is gone."""
        for each in what:
            self.questions.not_carried(each)
        row = self.known.get(collection.href)
        if row is not None:
            self.questions.seen |= problem_ids(self.ledger, row.id)
        return Counts(collections=1, problems=len(what))

    def _carry(self, collection: Collection) -> Counts:
        row = self.known.get(collection.href)
        if row and not self.dry_run and self._is_lost(row):
            return Counts(collections=1, items=count_items(self.ledger, row.id), problems=1)
        if row and self._is_unchanged(row, collection):
            carried = count_items(self.ledger, row.id)
            return Counts(collections=1, items=carried, unchanged=carried)
        present = self.new.session.collection(row.new_href) if row else None
        if row is None or present is None:
            row = self._make(collection, row)
        elif dict(collection.properties) != row.properties and not self.dry_run:
            self._set_properties(row.new_href, places.changed(row.properties, collection.properties, present))
            row.properties = dict(collection.properties)
        carrier = Carrier(
            self.old.session,
            self.new.session,
            self.new.writers,
            self.ledger,
            row,
            self.questions,
            zone=self.zone,
            dry_run=self.dry_run,
        )
        carrier.run()
        if not self.dry_run:
            # As it was before the items were read: what came since is met by the next pass.
            row.tag = collection.tag if carrier.is_complete else ""
            with self.ledger.session() as session:
                save_calendar(session, row)
        return carrier.counts

    def _is_lost(self, row: CalendarRow) -> bool:
        """Whether most of what was carried is no longer on new, and nobody has said yet what that means."""
        carried = [item for item in items(self.ledger, row.id).values() if item.state == "carried"]
        if len(carried) < mass_deletion.FEW:
            return False
        try:
            there = self.new.session.etags(row.new_href)
        except DavRefused as error:
            if error.status not in (403, 404, 410):
                raise
            there = {}
        lost = [item for item in carried if item.new_href not in there]
        if not mass_deletion.is_many(lost, len(carried)):
            return False
        wanted = mass_deletion.decided(self.questions, row, "lost-on-new", len(lost), len(carried))
        if not wanted:
            self.questions.seen |= problem_ids(self.ledger, row.id)
            return True
        for item in lost:
            item.state = "writing" if wanted == "carry_again" else "kept"
        row.tag = ""
        with self.ledger.session() as session:
            save_items(session, lost)
            save_calendar(session, row)
        return False

    def _is_unchanged(self, row: CalendarRow, collection: Collection) -> bool:
        """Nothing changed on old since the last complete pass, and no item waits for a decision or another try."""
        same = collection.tag and collection.tag == row.tag and dict(collection.properties) == row.properties
        return bool(same) and not self.questions.are_answered and not problem_ids(self.ledger, row.id)

    def _make(self, collection: Collection, row: CalendarRow | None) -> CalendarRow:
        """Make the collection on new where it isn't, and note where it is."""
        taken = {known.new_href for known in self.known.values()}
        home = self.new.home(collection.kind)
        new_href = (
            row.new_href if row else places.free_place(collection, home, self.site.main, self.site.new_main, taken)
        )
        properties = dict(collection.properties)
        if not self.dry_run:
            if self.new.session.collection(new_href) is None:
                kept, _ = places.for_sogo(properties, new_href)
                at_birth = {name: value for name, value in kept.items() if name == xml.NAME}
                self.new.session.make_collection(new_href, collection.kind, at_birth)
            self._set_properties(new_href, properties)
        row = row or CalendarRow(
            account=self.account,
            kind=collection.kind,
            old_href=collection.href,
            new_href=new_href,
            properties=properties,
            tag="",
        )
        self.known[collection.href] = row
        if not self.dry_run:
            with self.ledger.session() as session:
                save_calendar(session, row)
        return row

    def _set_properties(self, new_href: str, properties: dict[str, str]) -> None:
        kept, told = places.for_sogo(properties, new_href)
        if told:
            log.warning("a name can't be kept", account=self.account, collection=new_href, why=told)
        self.new.session.set_properties(new_href, kept)

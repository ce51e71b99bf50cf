"""Carry all calendars and address books of accounts: many accounts side by side, each by itself."""

import contextlib
import hashlib
import os
import re
import socket
import unicodedata
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cache
from itertools import chain, count
from typing import Any
from uuid import uuid4

import structlog

from bascule import directory
from bascule.access import Access, AccessError
from bascule.calendars import losses, servers, xml
from bascule.calendars.carry import Carrier, Counts
from bascule.calendars.dav import Collection, DavRefused, Kind, Session
from bascule.calendars.deleted import Deleted
from bascule.calendars.preferences import set_preferences
from bascule.calendars.servers import Server, Source
from bascule.calendars.shares import SharesDone, carry_shares
from bascule.calendars.sogo_tool import bring_over
from bascule.ledger import Ledger
from bascule.ledger.calendars import CalendarRow, calendars, count_items, items, problem_ids, save_calendar, save_items
from bascule.ledger.leases import LeaseHeld, lease
from bascule.ledger.problems import decisions, withdraw_unseen

log = structlog.get_logger(__name__)

FILE_ENDING = re.compile(r"\.(ics|vcf)$", re.I)  # collections that are files
PLAIN = re.compile(r"[A-Za-z0-9_.@+-]{1,80}")
KINDS: tuple[Kind, ...] = ("calendar", "addressbook")


class CalendarsFailed(AccessError):
    """Raised when the collections of some accounts could not be carried; the text has a line for each."""


def sync_accounts(
    access: Access,
    ledger: Ledger,
    accounts: Sequence[str],
    *,
    dry_run: bool = False,
    parallel: int = 4,
    owner: str | None = None,
) -> dict[str, Counts]:
    """Carry the collections of all these accounts, and then their shares; what each pass did, by account.

    `owner` is who holds the leases meanwhile: a task's next try may take over what its last one held. One account that
    fails holds back no other. Raises CalendarsFailed at the end. Then SOGo gets the preferences that the site file
    derives from the directory.
    """
    owner = owner or _this_run()
    done: dict[str, Counts] = {}
    failed: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="calendars") as pool:
        running = {
            pool.submit(sync_account, access, ledger, account, dry_run=dry_run, owner=owner): account
            for account in accounts
        }
        for ended in as_completed(running):
            account = running[ended]
            try:
                done[account] = ended.result()
            except (AccessError, LeaseHeld) as error:
                failed[account] = str(error)
                log.error("calendars failed", account=account, why=str(error))
            except Exception as error:  # a mistake of ours in one account must not hold back the others
                failed[account] = f"{type(error).__name__}: {error}"
                log.exception("calendars failed", account=account)
            log.info("calendars: progress", done=len(done), failed=len(failed), of=len(accounts))
    log.info("calendars: all accounts", accounts=len(done), **vars(sum(done.values(), Counts())))
    troubles = []
    if failed:
        lines = "\n".join(f"  {account}: {why}" for account, why in sorted(failed.items()))
        troubles.append(f"the calendars of {len(failed)} of {len(accounts)} account(s) failed:\n{lines}")
    try:
        sync_shares(access, ledger, [name for name in accounts if name in done], dry_run=dry_run, owner=owner)
    except (AccessError, LeaseHeld) as error:
        troubles.append(str(error))
    if troubles:
        raise CalendarsFailed("\n".join(troubles))
    set_preferences(access, ledger, accounts, dry_run=dry_run)
    return done


def sync_shares(
    access: Access, ledger: Ledger, accounts: Sequence[str], *, dry_run: bool = False, owner: str | None = None
) -> SharesDone:
    """Share the collections of these accounts on new as on old. Raises AccessError, or LeaseHeld: one at a time."""

    @cache
    def people() -> dict[str, directory.Account]:
        return {account.name: account for account in directory.accounts(access)}

    with lease(ledger, "everybody", owner or _this_run(), of="calendar shares"):
        return carry_shares(access, ledger, accounts, people, dry_run=dry_run)


def sync_account(
    access: Access, ledger: Ledger, account: str, *, dry_run: bool = False, owner: str | None = None
) -> Counts:
    """One pass over all collections of one account, under its lease.

    Raises AccessError when a server stays away or refuses, LeaseHeld when another run is at this account.
    """
    with lease(ledger, account, owner or _this_run(), of="calendars"):
        return _sync_account(access, ledger, account, dry_run=dry_run)


def _this_run() -> str:
    """A name that no other run has."""
    return f"process {os.getpid()} on {socket.gethostname()} ({uuid4()})"


def _sync_account(access: Access, ledger: Ledger, account: str, *, dry_run: bool) -> Counts:
    site = access.site.calendars
    if site.sogo_tool:
        with contextlib.closing(access.again()) as own:  # SSH sessions of this thread
            bring_over(own, ledger, account, dry_run=dry_run)
    with servers.opened_source(access, account) as old, servers.opened(access, site.new, account) as new:
        return _Account(access, ledger, account, old, new, dry_run=dry_run).run()


class _Account:
    def __init__(
        self, access: Access, ledger: Ledger, account: str, old: Server[Source], new: Server[Session], *, dry_run: bool
    ) -> None:
        self.site, self.zone = access.site.calendars, access.site.timezone
        self.ledger, self.account = ledger, account
        self.old, self.new, self.dry_run = old, new, dry_run
        self.known = {row.old_href: row for row in calendars(ledger, account)}
        self.decided = {
            (problem.kind, problem.subject): (problem, made)
            for problem, made in decisions(ledger, account, "calendar")
            if problem.state == "decided"
        }
        self.seen: set[int] = set()

    def run(self) -> Counts:
        total = Counts()
        for kind in KINDS:
            found = self._collections(kind)
            total += self._follow_deletions(kind, {collection.href for collection in found})
            for collection in found:
                total += self._carry(collection)
        if not self.dry_run:
            with self.ledger.session() as session:
                withdraw_unseen(session, self.account, "calendar", self.seen)
        log.info("calendars of one account", account=self.account, dry_run=self.dry_run, **vars(total))
        return total

    def _collections(self, kind: Kind) -> list[Collection]:
        """Old's collections of this kind. A home that isn't there holds none, unless some were carried from it."""
        try:
            found = self.old.session.collections(self.old.home(kind), kind)
        except DavRefused as error:
            if error.status not in (404, 410) or any(row.kind == kind for row in self.known.values()):
                raise
            log.info("old has nothing of this account", account=self.account, kind=kind, home=self.old.home(kind))
            return []
        return found

    def _follow_deletions(self, kind: Kind, here: Set[str]) -> Counts:
        """What was carried and is no longer among the collections that old has."""
        total = Counts()
        for row in [row for row in self.known.values() if row.kind == kind and row.old_href not in here]:
            deleted = Deleted(self.new.session, self.ledger, row, self.decided, dry_run=self.dry_run)
            total += deleted.run()
            self.seen |= deleted.seen
        return total

    def _carry(self, collection: Collection) -> Counts:
        row = self.known.get(collection.href)
        if row and not self.dry_run and self._is_lost(row):
            return Counts(collections=1, items=count_items(self.ledger, row.id), problems=1)
        if row and self._is_unchanged(row, collection):
            self.seen |= problem_ids(self.ledger, row.id)
            carried = count_items(self.ledger, row.id)
            return Counts(collections=1, items=carried, unchanged=carried)
        present = self.new.session.collection(row.new_href) if row else None
        if row is None or present is None:
            row = self._make(collection, row)
        elif dict(collection.properties) != row.properties and not self.dry_run:
            self.new.session.set_properties(row.new_href, _changed(row.properties, collection.properties, present))
            row.properties = dict(collection.properties)
        carrier = Carrier(
            self.old.session,
            self.new.session,
            self.ledger,
            row,
            self.decided,
            zone=self.zone,
            dry_run=self.dry_run,
        )
        carrier.run()
        self.seen |= carrier.seen
        if not self.dry_run:
            # As it was before the items were read: what came since is met by the next pass.
            row.tag = collection.tag if carrier.is_complete else ""
            with self.ledger.session() as session:
                save_calendar(session, row)
        return carrier.counts

    def _is_lost(self, row: CalendarRow) -> bool:
        """Whether most of what was carried is no longer on new, and nobody has said yet what that means."""
        carried = [item for item in items(self.ledger, row.id).values() if item.state == "carried"]
        if len(carried) < losses.FEW:
            return False
        try:
            there = self.new.session.etags(row.new_href)
        except DavRefused as error:
            if error.status not in (403, 404, 410):
                raise
            there = {}
        lost = [item for item in carried if item.new_href not in there]
        if not losses.is_many(lost, len(carried)):
            return False
        wanted, problem_id = losses.decided(self.ledger, row, "lost-on-new", len(lost), len(carried), self.decided)
        if not wanted:
            self.seen |= {problem_id, *problem_ids(self.ledger, row.id)}
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
        return bool(same) and not self.decided and not problem_ids(self.ledger, row.id)

    def _make(self, collection: Collection, row: CalendarRow | None) -> CalendarRow:
        """Make the collection on new where it isn't, and note where it is."""
        new_href = row.new_href if row else self.new.home(collection.kind) + self._name(collection) + "/"
        properties = dict(collection.properties)
        if not self.dry_run:
            if self.new.session.collection(new_href) is None:
                self.new.session.make_collection(new_href, collection.kind, _at_birth(collection))
            self.new.session.set_properties(new_href, properties)
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

    def _name(self, collection: Collection) -> str:
        """`personal` for the first of the names that the site file calls main ones, the old name for the others."""
        name = FILE_ENDING.sub("", collection.name)
        taken = {row.new_href for row in self.known.values()}
        home = self.new.home(collection.kind)
        if name in self.site.main and f"{home}{self.site.new_main}/" not in taken:
            return self.site.new_main
        wanted = harmless_name(name)
        names = chain([wanted], (f"{wanted}-{number}" for number in count(2)))
        return next(free for free in names if f"{home}{free}/" not in taken)


def harmless_name(name: str) -> str:
    """The name where it is plain, else one made from it, always the same: the last part of a collection's path on new.

    A SOGo 5.8 that has a collection with `'` in its path loses a connection to its database at each request, until it
    answers nobody any more; in one with `~` it finds nothing again; `..` leads elsewhere. People see the display name.
    """
    if PLAIN.fullmatch(name) and name.strip("."):
        return name
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = "-".join(re.findall(r"[A-Za-z0-9]+", plain))[:60]
    return f"{words}-{hashlib.sha256(name.encode()).hexdigest()[:8]}".lstrip("-")


def _changed(before: Mapping[str, Any], wanted: Mapping[str, str], present: Collection) -> dict[str, str]:
    """What changed on old, without what its owner has named or coloured otherwise on new since."""
    return {
        name: value
        for name, value in wanted.items()
        if before.get(name) != value
        and (
            name not in before
            or name not in present.properties
            or _colour(present.properties[name]) == _colour(before[name])
        )
    }


def _colour(value: str) -> str:
    """A colour without its opacity, which SOGo adds; any other value as it is."""
    return value[:7].lower() if re.fullmatch(r"#[0-9A-Fa-f]{6}([0-9A-Fa-f]{2})?", value) else value


def _at_birth(collection: Collection) -> dict[str, Any]:
    return {name: value for name, value in collection.properties.items() if name == xml.NAME}

"""Who else may see a collection on old may see it on new: rights in SOGo and a subscription, or words for a person.

Done one share after the other, since a subscription is written into the settings of whoever gets it, and two at once
would lose one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import cast
from urllib.parse import unquote

from bascule.calendars import servers
from bascule.calendars.dav import xml
from bascule.calendars.dav.client import Session
from bascule.calendars.dav.http import DavRefused
from bascule.calendars.dav.model import Kind
from bascule.calendars.shares import sharing
from bascule.calendars.shares.radicale import Rights
from bascule.calendars.shares.sharing import EVERYBODY, PUBLIC, Grant
from bascule.calendars.sogo import acl
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.hosts.directory import Account
from bascule.ledger import Ledger
from bascule.ledger.calendars import CalendarRow, ShareRow, calendars, forget_share, save_share, shares
from bascule.text.logs import get_logger

log = get_logger(__name__)


@dataclass
class SharesDone:
    """What became of the shares, in shares."""

    given: int = 0
    unchanged: int = 0
    kept: int = 0
    taken_back: int = 0
    by_hand: int = 0


def carry_shares(
    access: Access,
    ledger: Ledger,
    names: Sequence[str],
    people: Callable[[], Mapping[str, Account]],
    *,
    dry_run: bool = False,
) -> SharesDone:
    """Share the collections of these accounts as on old.

    One account that fails holds back no other. Raises AccessError at the end, with a line for each that failed.

    `people` gives the directory's accounts by name; it is asked only where something is shared.
    """
    done = SharesDone()
    rights = _rights(access, people)
    if rights and not dry_run:
        _write_down_who_sees_everything(ledger, rights)
    failed: list[str] = []
    for name in names:
        try:
            _OwnerShares(access, ledger, name, people, rights, done, dry_run=dry_run).run()
        except AccessError as error:
            failed.append(f"  {name}: {error}")
            log.error("shares failed", account=name, why=str(error))
    log.info("calendars: shares", accounts=len(names), failed=len(failed), dry_run=dry_run, **vars(done))
    if failed:
        raise AccessError(f"the shares of {len(failed)} of {len(names)} account(s) failed:\n" + "\n".join(failed))
    return done


def _rights(access: Access, people: Callable[[], Mapping[str, Account]]) -> Rights | None:
    part = access.site.calendars.rights
    if part is None:
        return None
    data = access.remote(part.host).read_file(part.path)
    if data is None:
        raise AccessError(f"there is no {part.path} on {part.host}: mend `calendars.rights` in the site file")
    return Rights(data.decode(errors="replace"), people().keys(), _own_login(access))


def _own_login(access: Access) -> str:
    return access.connections.get(access.site.calendars.old.connection).login


def _write_down_who_sees_everything(ledger: Ledger, rights: Rights) -> None:
    known = {row.who: row for row in shares(ledger) if not row.old_href}
    for who, level in rights.over_everything.items():
        row = known.pop(who, None) or ShareRow(account=who, old_href="", who=who, roles=[], state="by_hand")
        row.words = (
            f"{who} may {sharing.spelled(level)} the calendars and address books of everybody on old: if that is "
            f"still wanted, write {who} into SOGoSuperUsernames in /etc/sogo/sogo.conf."
        )
        save_share(ledger, row)
    for row in known.values():
        forget_share(ledger, row)


class _OwnerShares:
    """The shares of one owner's collections."""

    def __init__(
        self,
        access: Access,
        ledger: Ledger,
        owner: str,
        people: Callable[[], Mapping[str, Account]],
        rights: Rights | None,
        done: SharesDone,
        *,
        dry_run: bool,
    ) -> None:
        self.access, self.ledger, self.owner = access, ledger, owner
        self.people, self.rights, self.done, self.dry_run = people, rights, done, dry_run
        self.new: Session

    def run(self) -> None:
        rows = calendars(self.ledger, self.owner)
        granted = self._granted(rows) if rows else {}
        known = {(row.old_href, row.who): row for row in shares(self.ledger, self.owner) if row.old_href}
        if not known and not any(granted.values()):
            return
        with servers.opened(self.access, self.access.site.calendars.new, self.owner) as new:
            self.new = new.session
            for calendar in rows:
                for grant in granted.get(calendar.old_href, ()):
                    self._share(calendar, grant, known.pop((calendar.old_href, grant.who), None))
            told = {row.old_href: row for row in rows if row.old_href in granted}
            for row in known.values():
                if row.old_href in told:
                    self._take_back(told[row.old_href], row)

    def _granted(self, rows: Sequence[CalendarRow]) -> dict[str, list[Grant]]:
        """Who else may do what with each collection that old says something about, by its old href."""
        if self.rights:
            return {row.old_href: self.rights.grants(_radicale_path(row.old_href), self.owner) for row in rows}
        part = self.access.site.calendars.old
        if part.url.startswith("file:"):
            return {}
        with servers.opened(self.access, part, self.owner) as old:
            return self._told(old.session, rows)

    def _told(self, old: Session, rows: Sequence[CalendarRow]) -> dict[str, list[Grant]]:
        """What the old server itself says."""
        own = {self.owner, _own_login(self.access)}
        said = {row.old_href: sharing.grants(old, row.old_href) for row in rows}
        found = {
            href: [each for each in granted if each.who not in own]
            for href, granted in said.items()
            if granted is not None
        }
        exact = any(each.roles for granted in found.values() for each in granted)
        if found and not exact:
            _add_delegates(found, rows, sharing.delegates(old, next(iter(found))))
        return found

    def _share(self, calendar: CalendarRow, grant: Grant, row: ShareRow | None) -> None:
        """Give one right on new, once; what the owner changed there meanwhile stays."""
        roles = sharing.roles_for(cast(Kind, calendar.kind), grant)
        row = row or ShareRow(account=self.owner, old_href=calendar.old_href, who=grant.who, roles=[], state="new")
        if row.state in ("given", "kept") and set(row.roles) == roles:
            self.done.unchanged += 1
            return
        if self.dry_run:
            self.done.given += 1
            return
        try:
            if (grant.who not in (EVERYBODY, PUBLIC) and grant.who not in self.people()) or not roles:
                raise _ByHand(self._why_not(grant))
            self._give(calendar, grant.who, roles, row)
        except (_ByHand, DavRefused) as error:
            if isinstance(error, DavRefused) and error.status in (401, 407):
                raise
            row.state, row.words = "by_hand", self._what_to_click(calendar, grant, str(error))
            self.done.by_hand += 1
            log.warning("a share has to be given by hand", account=self.owner, who=grant.who, todo=row.words)
        save_share(self.ledger, row)

    def _give(self, calendar: CalendarRow, who: str, roles: frozenset[str], row: ShareRow) -> None:
        present = acl.roles(self.new, calendar.new_href, who) if who in self._with_roles(calendar) else frozenset()
        if present not in (frozenset(), roles, frozenset(row.roles)):
            row.state, row.roles, row.words = "kept", sorted(roles), ""
            self.done.kept += 1
            return
        if present != roles:
            acl.set_roles(self.new, calendar.new_href, who, roles)
            if (there := acl.roles(self.new, calendar.new_href, who)) != roles:
                raise _ByHand(f"SOGo took the right and shows {', '.join(sorted(there)) or 'none'} afterwards")
        if who != EVERYBODY and row.state != "given":
            self._subscribe(calendar, who)
        row.state, row.roles, row.words = "given", sorted(roles), ""
        self.done.given += 1

    def _with_roles(self, calendar: CalendarRow) -> list[str]:
        """Who has roles of his own; SOGo would answer with everybody's roles for one who has none."""
        return acl.users(self.new, calendar.new_href)

    def _subscribe(self, calendar: CalendarRow, who: str) -> None:
        """Put the collection among those of `who`, with a name that says whose it is."""
        part, kind = self.access.site.calendars.new, cast(Kind, calendar.kind)
        with servers.opened(self.access, part, who) as theirs:
            if part.login == "superuser":
                acl.subscribe(self.new, calendar.new_href, wanted=True, users=who)
            else:
                acl.subscribe(theirs.session, calendar.new_href, wanted=True)
            there = f"{theirs.home(kind)}{self.owner}_{PurePosixPath(calendar.new_href).name}/"
            if theirs.session.collection(there) is None:
                raise _ByHand(f"SOGo does not show it to {who} after the subscription")
            if name := calendar.properties.get(xml.NAME):
                entry = self.people()[self.owner].entry
                theirs.session.set_properties(there, {xml.NAME: f"{name} ({(entry.get('cn') or [self.owner])[0]})"})

    def _take_back(self, calendar: CalendarRow, row: ShareRow) -> None:
        """Old no longer shares it: nor does new, unless its owner said otherwise there."""
        if self.dry_run:
            return
        if row.state == "given" and acl.roles(self.new, calendar.new_href, row.who) == set(row.roles):
            acl.set_roles(self.new, calendar.new_href, row.who, frozenset())
            self.done.taken_back += 1
        forget_share(self.ledger, row)

    def _why_not(self, grant: Grant) -> str:
        if grant.who == PUBLIC:
            return "SOGo shows calendars to people who don't log in only where SOGoEnablePublicAccess says so"
        if grant.who not in self.people() and grant.who != EVERYBODY:
            return f"the directory has no account {grant.who}"
        return "SOGo has no such right"

    def _what_to_click(self, calendar: CalendarRow, grant: Grant, why: str) -> str:
        name = calendar.properties.get(xml.NAME) or PurePosixPath(calendar.old_href).name
        whom = {EVERYBODY: "everybody", PUBLIC: "anybody without a login"}.get(grant.who, grant.who)
        where = "Calendar" if calendar.kind == "calendar" else "Address Book"
        who_there = {EVERYBODY: "Any Authenticated User", PUBLIC: "Public Access"}.get(grant.who, "Add User")
        return (
            f"{whom} may {sharing.spelled(grant.level)} “{name}” of {self.owner} on old, and not yet on new: {why}. "
            f"If that is still wanted, {self.owner} opens SOGo, {where}, the three dots beside “{name}”, Sharing, "
            f"{who_there}, and chooses there."
        )


class _ByHand(Exception):
    """Raised when a share can't be given by Bascule; the text says why."""


def _radicale_path(href: str) -> str:
    """`account/collection`, whatever the web server has before it."""
    return "/".join(unquote(href).strip("/").split("/")[-2:])


def _add_delegates(found: dict[str, list[Grant]], rows: Sequence[CalendarRow], members: Sequence[Grant]) -> None:
    """A delegate may do it with every calendar, unless the calendar's own list says more."""
    for row in rows:
        if row.kind == "calendar" and row.old_href in found:
            named = {each.who for each in found[row.old_href]}
            found[row.old_href] += [each for each in members if each.who not in named and each.who != row.account]

"""The account's entry in the directory: the proxies ask it for the server, the MX for the destination and the hold."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ldap3

from bascule.hosts import directory
from bascule.hosts.access import Access
from bascule.hosts.directory import Account, DirectoryError, Step
from bascule.ledger.moves import Server, other
from bascule.moves.machine import CannotMove, EntryGone, HoldGone
from bascule.site import MovesPart

SERVERS: tuple[Server, Server] = ("old", "new")


def part_of(access: Access) -> MovesPart:
    """The site file's `moves`. Raises CannotMove without one."""
    if access.site.moves is None:
        raise CannotMove("the site file has no part `moves`: docs/moves.md says what it needs")
    return access.site.moves


@dataclass(frozen=True)
class Values:
    """One attribute of the entry: what it has, and what it has when the account is on old, or on new."""

    attribute: str
    present: list[str]
    on: dict[Server, str]

    def is_at(self, server: Server) -> bool:
        return self.on[server] in self.present and self.on[other(server)] not in self.present

    def steps(self, to: Server) -> list[Step]:
        """The exchange of the one value for the other. Raises CannotMove when the entry has neither."""
        here, there = self.on[to], self.on[other(to)]
        if here not in self.present and there not in self.present:
            raise CannotMove(
                f"`{self.attribute}` has {', '.join(map(repr, self.present)) or 'no value'}, neither {there!r} nor "
                f"{here!r}: mend the entry or the site file"
            )
        gone: list[Step] = [(ldap3.MODIFY_DELETE, [there])] * (there in self.present)
        come: list[Step] = [(ldap3.MODIFY_ADD, [here])] * (here not in self.present)
        return [*gone, *come]


def are_on(access: Access, server: Server) -> set[str]:
    """The accounts that the directory has there. Of an entry that makes no sense its own move tells. Raises CannotMove.

    Raises DirectoryError when it can't be asked.
    """
    part, found = part_of(access), set[str]()
    for account in directory.accounts(access):
        with contextlib.suppress(DirectoryError):
            if all(values.is_at(server) for values in _both(access, part, account)):
                found.add(account.name)
    return found


def are_held(access: Access) -> list[str]:
    """The accounts that have the hold of a move now. Raises CannotMove, DirectoryError."""
    part = part_of(access)
    found = directory.accounts(access, f"({part.hold_attribute}=*)")
    return [account.name for account in found if part.hold_value in account.values(part.hold_attribute)]


def _both(access: Access, part: MovesPart, account: Account) -> tuple[Values, Values]:
    """Where the account's logins go, and where its mail goes."""
    on: dict[Server, str] = {
        "old": directory.render(part.route.old, account),
        "new": directory.render(part.route.new, account),
    }
    return Values(part.route.attribute, account.values(part.route.attribute), on), _destination(access, account)


def _destination(access: Access, account: Account) -> Values:
    part = access.site.directory.destination
    on: dict[Server, str] = {
        "old": directory.render(part.before, account),
        "new": directory.render(part.after, account),
    }
    return Values(part.attribute, account.values(part.attribute), on)


class Entry:
    """One account's entry. The modifies name the old values, so that what somebody else changes is not overwritten."""

    def __init__(self, access: Access, account: str, before: Mapping[str, list[str]] | None = None) -> None:
        """`before`: its `state` before the move, by which its addresses are known when there is no entry any more."""
        self.access, self.account, self.part = access, account, part_of(access)
        self._before = before or {}
        self._addresses: dict[Server, str] | None = None

    def state(self) -> dict[str, Any]:
        """The attributes of a move as they are, for the journal."""
        return self._state(self._found())

    def _state(self, found: Account) -> dict[str, Any]:
        names = [values.attribute for values in self._both(found)]
        return {name: found.values(name) for name in [*names, self.part.delay_attribute, self.part.hold_attribute]}

    def check(self, *, also_held: bool = False) -> dict[str, Any]:
        """Raises CannotMove when the entry can't be moved as it is. Returns its `state`.

        `also_held`: where a hold as moves put it would be taken away before.
        """
        found = self._found()
        for values in self._both(found):
            values.steps("new")
        held = found.values(self.part.hold_attribute)
        if held and not (also_held and held == [self.part.hold_value]):
            raise CannotMove(
                f"{self.account} has a `{self.part.hold_attribute}` already ({held[0]!r}), which no move of this "
                "ledger has put there: see whose it is, and take it away"
            )
        self._before = self._state(found)
        return self._before

    def is_held(self) -> bool:
        """Whether it has the hold of a move. Raises DirectoryError."""
        return self.part.hold_value in self._found().values(self.part.hold_attribute)

    def is_at(self, server: Server) -> bool:
        return all(values.is_at(server) for values in self._both(self._found()))

    def addresses(self) -> dict[Server, str]:
        """The final address on each server, as it was when the hold came. Raises DirectoryError and EntryGone."""
        if self._addresses is None:
            try:
                self._addresses = _destination(self.access, self._found()).on
            except EntryGone:
                if not self._before:
                    raise
                self._addresses = self._addresses_before()
        return self._addresses

    def _addresses_before(self) -> dict[Server, str]:
        """As the site file makes them; where that needs more of the entry than is known, what it had."""
        part, found = self.access.site.directory.destination, Account(self.account, "", self._before)
        short = f"{self.account}@{self.access.site.domain}"
        addresses: dict[Server, str] = dict.fromkeys(SERVERS, next(iter(found.values(part.attribute)), short))
        for server, template in zip(SERVERS, (part.before, part.after), strict=True):
            with contextlib.suppress(DirectoryError):
                addresses[server] = directory.render(template, found)
        return addresses

    def hold(self) -> None:
        """Raises DirectoryError."""
        attribute, value = self.part.hold_attribute, self.part.hold_value
        with directory.connected(self.access) as connection:
            found = self._read(connection)
            self._addresses = _destination(self.access, found).on
            if value not in found.values(attribute):
                self._modify(connection, found, {attribute: [(ldap3.MODIFY_ADD, [value])]})

    def release(self) -> list[str]:
        """Take every hold away: the site file may have named another value when it came. Returns what was there.

        Also where the name is written in another case by now, or `directory.filter` leaves the account out. Raises
        DirectoryError and EntryGone.
        """
        attribute, held = self.part.hold_attribute, list[str]()
        with directory.connected(self.access) as connection:
            found = directory.named(connection, self.access.site, self.account)
            if not found:
                raise self._gone(connection)
            for each in found:
                if values := each.values(attribute):
                    self._modify(connection, each, {attribute: [(ldap3.MODIFY_REPLACE, [])]})
                    held += values
        return held

    def flip(self, to: Server, delayed_until: int) -> None:
        """Server, destination and delay in one modify, which fits only while the hold is there; seen by another look.

        Who slept until another run had undone its move, and let the account go, changes nothing any more. Raises
        DirectoryError, CannotMove and HoldGone.
        """
        with directory.connected(self.access) as connection:
            found = self._read(connection)
            held = self._hold_of(found)
            changes = {values.attribute: values.steps(to) for values in self._both(found)}
            changes[self.part.delay_attribute] = [(ldap3.MODIFY_REPLACE, [str(delayed_until)])]
            changes[self.part.hold_attribute] = [(ldap3.MODIFY_DELETE, held), (ldap3.MODIFY_ADD, held)]
            try:
                self._modify(connection, found, {name: steps for name, steps in changes.items() if steps})
            except DirectoryError:
                self._hold_of(self._read(connection))
                raise
        if not self.is_at(to):
            raise DirectoryError(f"the entry of {self.account} was changed, and does not show it when it is read again")

    def _hold_of(self, found: Account) -> list[str]:
        """What holds its mail. Raises HoldGone."""
        if held := found.values(self.part.hold_attribute):
            return held
        raise HoldGone(
            f"the entry of {self.account} has no `{self.part.hold_attribute}` any more: somebody has taken the hold "
            "away, so its logins and mail are not led elsewhere"
        )

    def delay(self, until: int) -> None:
        """Hold logins back until another instant. Raises DirectoryError."""
        self.put_delays([str(until)])

    def delays(self) -> list[str]:
        """The instant until which logins are held back, if one was ever written. Raises DirectoryError."""
        return self._found().values(self.part.delay_attribute)

    def put_delays(self, values: list[str]) -> None:
        """As they were found. Raises DirectoryError."""
        with directory.connected(self.access) as connection:
            found = self._read(connection)
            self._modify(connection, found, {self.part.delay_attribute: [(ldap3.MODIFY_REPLACE, values)]})

    def _found(self) -> Account:
        with directory.connected(self.access) as connection:
            return self._read(connection)

    def _read(self, connection: ldap3.Connection) -> Account:
        site = self.access.site
        found = list(directory.search(connection, site, directory.selection_filter(site, [self.account])))
        if not found:
            raise self._gone(connection)
        if len(found) > 1:
            raise DirectoryError(f"the directory has {len(found)} entries of the account {self.account}, not one")
        account = directory.account_of(site, found[0])
        if account.name != self.account:  # LDAP knows no case; ledger, leases and sessions do
            raise DirectoryError(f"the directory writes the account {self.account!r} as {account.name!r}: name it so")
        return account

    def _gone(self, connection: ldap3.Connection) -> EntryGone:
        """Raises DirectoryError where the directory shows nobody at all: it is being restored, or hides them."""
        site = self.access.site
        if next(iter(directory.search(connection, site, site.directory.filter)), None) is None:
            raise DirectoryError(f"the directory shows no account at all, so that nothing is known of {self.account}")
        return EntryGone(
            f"the directory has no entry of the account {self.account}: it was renamed or deleted, or never was one"
        )

    def _both(self, account: Account) -> tuple[Values, Values]:
        return _both(self.access, self.part, account)

    def _modify(self, connection: ldap3.Connection, found: Account, changes: dict[str, list[Step]]) -> None:
        if directory.modify_together(self.access, connection, found.dn, changes) != 0:
            raise DirectoryError(
                f"the directory refuses to change `{'`, `'.join(changes)}` of {found.dn}: "
                f"{directory.reason(connection)}"
            )

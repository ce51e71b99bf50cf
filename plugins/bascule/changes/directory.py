"""The directory: the attribute that says where an account's mail goes, for all accounts or a selection of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ldap3

from bascule.changes import ldif, probes
from bascule.changes.base import Change, ChangeFailed, State
from bascule.hosts import directory
from bascule.hosts.access import Access
from bascule.text.logs import get_logger

log = get_logger(__name__)

NAMED_AT_MOST = 50  # entries in one error text; the log names all of them


@dataclass(frozen=True)
class Plan:
    """What one entry has and shall have: `wanted` differs from `present` by the one value that is exchanged."""

    dn: str
    present: list[str]
    wanted: list[str]
    obstacle: str = ""  # why this entry can't be changed, as a sentence

    @property
    def is_done(self) -> bool:
        return not self.obstacle and sorted(self.present) == sorted(self.wanted)


@dataclass
class Tally:
    """What became of the entries: how many were changed, and why the others were not."""

    changed: int = 0
    failures: dict[str, str] = field(default_factory=dict)  # DN -> sentence


class Destination(Change):
    """`directory.destination` of the selected accounts changed from its value `before` to its value `after`.

    Only that one value of the attribute is exchanged, in one modify that names the old value, so that an entry which
    somebody else changes at the same moment is refused by the directory and not overwritten.
    State: {"attribute": name, "ldif": entries and values, "obstacles": {DN: why it can't be changed}}.
    """

    kind = "directory"

    def __init__(self, access: Access, accounts: str | Sequence[str] = "all") -> None:
        super().__init__(access)
        self.accounts = accounts if isinstance(accounts, str) else sorted(accounts)
        self.destination = access.site.directory.destination
        self._plans: dict[str, Plan] = {}

    @property
    def subject(self) -> str:
        chosen = self.accounts if isinstance(self.accounts, str) else ",".join(self.accounts)
        return f"{self.destination.attribute} of {chosen}"

    @property
    def parameters(self) -> dict[str, Any]:
        return {"accounts": self.accounts}

    @property
    def desired(self) -> State:
        return self._state({plan.dn: plan.wanted for plan in self._plans.values()}, {})

    def observe(self) -> State:
        with directory.connected(self.access) as connection:
            self._plans = {plan.dn: plan for plan in self._plan_all(connection)}
        waiting = [f"{plan.dn}: {plan.present} -> {plan.wanted}" for plan in self._plans.values() if not plan.is_done]
        log.info("directory looked at", entries=len(self._plans), to_change=len(waiting), first=waiting[:NAMED_AT_MOST])
        return self._state(
            {plan.dn: plan.present for plan in self._plans.values()},
            {plan.dn: plan.obstacle for plan in self._plans.values() if plan.obstacle},
        )

    def apply(self) -> None:
        waiting = [plan for plan in self._plans.values() if not plan.is_done]
        tally = Tally(failures={plan.dn: plan.obstacle for plan in waiting if plan.obstacle})
        with directory.connected(self.access) as connection:
            for plan in waiting:
                if not plan.obstacle:
                    self._exchange(connection, plan, tally)
        self._report(tally, "changed")

    def verify(self) -> None:
        """Another connection reads the entries again; a replica may show the change some time later."""
        probes.wait_for(self._nothing_to_wait_for, directory.LAG)
        left = {plan.dn: plan.obstacle or _has(plan.present) for plan in self._plans.values() if not plan.is_done}
        self._report(Tally(failures=left), "seen as desired")

    def revert(self, before: State) -> None:
        """Exchange the values back in the entries that the act changed; what was changed since stays, and is named."""
        tally, waiting = Tally(), list[Plan]()
        with directory.connected(self.access) as connection:
            for dn, values in ldif.load(before["ldif"]).items():
                plan = self._plan_back(connection, dn, values)
                if plan.obstacle:
                    tally.failures[dn] = plan.obstacle
                elif not plan.is_done:
                    self._exchange(connection, plan, tally)
                    waiting.append(plan)
            for plan in waiting:
                if plan.dn not in tally.failures and not self._comes_to_be(connection, plan):
                    tally.failures[plan.dn] = _has(self._present(connection, plan.dn))
        self._report(tally, "put back")

    def first_state(self, earlier: State, found: State) -> State:
        """Entries that the earlier try had changed as it found them, the others as they are found now."""
        first, now = ldif.load(earlier["ldif"]), ldif.load(found["ldif"])
        done = {dn for dn, plan in self._plans.items() if plan.is_done}
        return {**found, "ldif": ldif.dump(earlier["attribute"], now | {dn: first[dn] for dn in done & first.keys()})}

    def summary(self, state: State) -> State:
        return {
            "attribute": state["attribute"],
            "entries": len(ldif.load(state["ldif"])),
            "obstacles": state["obstacles"],
        }

    def _state(self, entries: Mapping[str, Sequence[str]], obstacles: dict[str, str]) -> State:
        attribute = self.destination.attribute
        return {"attribute": attribute, "ldif": ldif.dump(attribute, entries), "obstacles": obstacles}

    def _comes_to_be(self, connection: ldap3.Connection, plan: Plan) -> bool:
        return probes.wait_for(lambda: sorted(self._present(connection, plan.dn)) == sorted(plan.wanted), directory.LAG)

    def _nothing_to_wait_for(self) -> bool:
        self.observe()
        return all(plan.is_done or plan.obstacle for plan in self._plans.values())

    def _plan_all(self, connection: ldap3.Connection) -> list[Plan]:
        """The plan of every selected entry. Raises DirectoryError when a name of the list is in no entry."""
        site = self.access.site
        plans, names = [], set()
        for item in directory.chosen(connection, site, self.accounts):
            try:
                account = directory.account_of(site, item)
            except directory.DirectoryError as error:
                plans.append(Plan(item["dn"], [], [], str(error)))
                continue
            names.add(account.name)
            plans.append(self._plan(account))
        if not isinstance(self.accounts, str) and (missing := set(self.accounts) - names):
            raise directory.DirectoryError(f"the directory has no account {', '.join(sorted(missing))}")
        if not plans:
            raise ChangeFailed(f"{self.subject}: no entry is found, so nothing would be changed: is the filter right?")
        return plans

    def _plan(self, account: directory.Account) -> Plan:
        present = account.values(self.destination.attribute)
        try:
            old = directory.render(self.destination.before, account)
            new = directory.render(self.destination.after, account)
        except directory.DirectoryError as error:
            return Plan(account.dn, present, present, str(error))
        if new not in present and old not in present:
            return Plan(account.dn, present, present, f"expected {old!r} to be replaced, but it {_has(present)}")
        return Plan(account.dn, present, [value for value in present if value not in (old, new)] + [new])

    def _plan_back(self, connection: ldap3.Connection, dn: str, values: list[str]) -> Plan:
        account = self._read(connection, dn)
        if account is None:
            return Plan(dn, [], [], "the entry is gone")
        present = account.values(self.destination.attribute)
        old = directory.render(self.destination.before, account)
        new = directory.render(self.destination.after, account)
        if old not in values or sorted(present) == sorted(values):
            return Plan(dn, present, present)  # not ours to change, or put back already
        if new not in present:
            return Plan(dn, present, values, f"somebody changed it since: it {_has(present)}, before it had {values!r}")
        kept = [value for value in present if value != old and (value != new or new in values)]
        return Plan(dn, present, [*kept, old])

    def _read(self, connection: ldap3.Connection, dn: str) -> directory.Account | None:
        site = self.access.site
        connection.search(dn, site.directory.filter, search_scope=ldap3.BASE, attributes=["*"])
        found = [item for item in connection.response or [] if item["type"] == "searchResEntry"]
        return directory.account_of(site, found[0]) if found else None

    def _present(self, connection: ldap3.Connection, dn: str) -> list[str]:
        account = self._read(connection, dn)
        return account.values(self.destination.attribute) if account else []

    def _exchange(self, connection: ldap3.Connection, plan: Plan, tally: Tally) -> None:
        """One modify for one entry; a failure is noted in the tally and stops nothing."""
        gone, come = _minus(plan.present, plan.wanted), _minus(plan.wanted, plan.present)
        steps = [(ldap3.MODIFY_DELETE, gone)] * bool(gone) + [(ldap3.MODIFY_ADD, come)] * bool(come)
        try:
            result = directory.modify(self.access, connection, plan.dn, self.destination.attribute, steps)
        except directory.ChangesRefused as error:
            raise ChangeFailed(str(error)) from None
        if result == 0:
            tally.changed += 1
            log.info("entry changed", dn=plan.dn, was=plan.present, now=plan.wanted)
            return
        words = directory.reason(connection)
        if result in (directory.NO_SUCH_VALUE, directory.VALUE_EXISTS):  # it is not as a replica shows it, not yet
            probes.wait_for(lambda: self._present(connection, plan.dn) != plan.present, directory.LAG)
        present = self._present(connection, plan.dn)
        if sorted(present) == sorted(plan.wanted):
            return  # somebody else made the same change in between
        in_between = f"somebody changed it in between (it {_has(present)})"
        tally.failures[plan.dn] = (
            f"{in_between if sorted(present) != sorted(plan.present) else 'the directory refused it'}: {words}"
        )

    def _report(self, tally: Tally, done: str) -> None:
        """Log the figures. Raises ChangeFailed naming every entry that failed by its DN."""
        log.info(
            "directory entries", attribute=self.destination.attribute, changed=tally.changed, failed=len(tally.failures)
        )
        if not tally.failures:
            return
        sentences = [f"{dn}: {why}" for dn, why in sorted(tally.failures.items())]
        for sentence in sentences:
            log.error(sentence)
        more = (
            f"\n... and {len(sentences) - NAMED_AT_MOST} more (see the log)" if len(sentences) > NAMED_AT_MOST else ""
        )
        raise ChangeFailed(
            f"`{self.destination.attribute}` is not {done} in {len(sentences)} entries (in all others it is): mend "
            "them, or leave them out by `directory.filter` or `accounts`, then run this task again\n"
            + "\n".join(sentences[:NAMED_AT_MOST])
            + more
        )


class KeptDestination(Destination):
    """The way back for accounts whose mailbox stays on old by decision: the value `after` becomes `before` again."""

    kind = "directory_kept"

    def __init__(self, access: Access, accounts: str | Sequence[str]) -> None:
        super().__init__(access, accounts)
        there = self.destination
        self.destination = there.model_copy(update={"before": there.after, "after": there.before})


def _minus(values: Sequence[str], others: Collection[str]) -> list[str]:
    return [value for value in values if value not in others]


def _has(values: Sequence[str]) -> str:
    return f"has {', '.join(repr(value) for value in values)}" if values else "has no value"

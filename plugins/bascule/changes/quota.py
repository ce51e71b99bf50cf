"""The quota of one account: the attribute of its directory entry from which the new server reads it."""

from typing import Any

import ldap3

from bascule.changes import probes
from bascule.changes.base import Change, ChangeFailed, State
from bascule.hosts import directory
from bascule.hosts.access import Access
from bascule.hosts.directory import Account, DirectoryError
from bascule.text.logs import get_logger

log = get_logger(__name__)


class AccountQuota(Change):
    """`mailboxes.quota.attribute` of one account's entry set for so many bytes, where it does not allow them already.

    The modify names the values that were found, so that an entry which somebody else changes at the same moment is
    refused by the directory and not overwritten. State: {"dn": the entry, "attribute": name, "values": its values}.
    """

    kind = "quota"

    def __init__(self, access: Access, account: str, bytes: int) -> None:
        super().__init__(access)
        if access.site.mailboxes.quota is None:
            raise ChangeFailed(
                f"the site file names no attribute for quotas (`mailboxes.quota`): raise that of {account} by hand"
            )
        self.account, self.bytes = account, bytes
        self.part = access.site.mailboxes.quota
        self._found: State = {}
        self._wanted = ""

    @property
    def subject(self) -> str:
        return f"quota of {self.account}"

    @property
    def parameters(self) -> dict[str, Any]:
        return {"account": self.account, "bytes": self.bytes}

    @property
    def desired(self) -> State:
        return self._found | {"values": [self._wanted]}

    def is_desired(self, state: State) -> bool:
        """The wanted value, or a larger one that somebody set: a quota is only ever raised."""
        values = state["values"]
        if values == [self._wanted]:
            return True
        return (
            len(values) == 1 and values[0].isdigit() and self._wanted.isdigit() and int(values[0]) > int(self._wanted)
        )

    def observe(self) -> State:
        with directory.connected(self.access) as connection:
            account = self._read(connection)
        self._wanted = directory.render(self.part.value, account, bytes=self.bytes)
        self._found = self._state(account)
        return dict(self._found)

    def apply(self) -> None:
        with directory.connected(self.access) as connection:
            self._exchange(connection, self._found["dn"], self._found["values"], [self._wanted])

    def verify(self) -> None:
        """Another connection reads the entry again; the pass that follows sees what the new server makes of it."""
        if not probes.wait_for(lambda: self.is_desired(self.observe()), directory.LAG):
            raise ChangeFailed(
                f"{self._found['dn']}: `{self.part.attribute}` is {self._found['values']!r}, not {self._wanted!r}"
            )

    def revert(self, before: State) -> None:
        state = self.observe()
        if state["values"] == before["values"]:
            return
        if state["values"] != [self._wanted]:
            raise ChangeFailed(
                f"{state['dn']}: `{self.part.attribute}` is {state['values']!r}, which somebody set since; before it "
                f"was {before['values']!r}. Set it by hand to what it shall be, then run this task again"
            )
        with directory.connected(self.access) as connection:
            self._exchange(connection, state["dn"], state["values"], before["values"])
        if not probes.wait_for(lambda: self.observe()["values"] == before["values"], directory.LAG):
            raise ChangeFailed(
                f"{state['dn']}: `{self.part.attribute}` is {self._found['values']!r}, not {before['values']!r}"
            )

    def _read(self, connection: ldap3.Connection) -> Account:
        site = self.access.site
        found = list(directory.search(connection, site, directory.selection_filter(site, [self.account])))
        if len(found) != 1:
            raise DirectoryError(f"the directory has {len(found)} entries of the account {self.account}, not one")
        return directory.account_of(site, found[0])

    def _state(self, account: Account) -> State:
        values = sorted(account.values(self.part.attribute))
        return {"dn": account.dn, "attribute": self.part.attribute, "values": values}

    def _exchange(self, connection: ldap3.Connection, dn: str, present: list[str], wanted: list[str]) -> None:
        """One modify for the entry. Raises ChangeFailed with the directory's words."""
        steps = [(ldap3.MODIFY_DELETE, present)] * bool(present) + [(ldap3.MODIFY_ADD, wanted)] * bool(wanted)
        try:
            result = directory.modify(self.access, connection, dn, self.part.attribute, steps)
        except directory.ChangesRefused as error:
            raise ChangeFailed(str(error)) from None
        if result != 0:
            words = directory.reason(connection)
            raise ChangeFailed(f"{dn}: the directory refuses `{self.part.attribute}` {wanted!r}: {words}")
        log.info("entry changed", dn=dn, attribute=self.part.attribute, was=present, now=wanted)

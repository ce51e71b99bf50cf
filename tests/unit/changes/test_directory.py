"""What the directory change plans for one entry, there and back, over a directory in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ldap3
import pytest
from bascule.changes import ldif
from bascule.changes.base import ChangeFailed
from bascule.changes.directory import Destination, KeptDestination
from bascule.hosts import directory

from tests.unit.changes.fakes import FakeAccess

OLD, NEW = "ada@old.obs.test", "ada@new.obs.test"
DN = "uid=ada,ou=people,dc=obs,dc=test"


class FakeDirectory:
    """Entries and an ldap3 connection's few methods. `meanwhile` happens between our look and our modify."""

    def __init__(self, **entries: list[str]) -> None:
        self.entries = {f"uid={uid},ou=people,dc=obs,dc=test": values for uid, values in entries.items()}
        self.meanwhile: dict[str, list[str]] = {}
        self.result: dict[str, Any] = {"result": 0, "description": "success", "message": ""}
        self.response: list[dict[str, Any]] = []

    def items(self) -> Iterator[dict[str, Any]]:
        return (self._item(dn) for dn in sorted(self.entries))

    def search(self, dn: str, *_: Any, **__: Any) -> None:
        self.response = [self._item(dn)] if dn in self.entries else []

    def modify(self, dn: str, changes: dict[str, list[tuple[str, list[str]]]]) -> None:
        self.entries |= self.meanwhile
        values = list(self.entries[dn])
        for act, wanted in changes["mailRoutingAddress"]:
            if act == ldap3.MODIFY_DELETE and not set(wanted) <= set(values):
                self.result = {"result": 16, "description": "noSuchAttribute", "message": "no such value"}
                return
            values = [v for v in values if v not in wanted] + (wanted if act == ldap3.MODIFY_ADD else [])
        self.entries[dn] = values
        self.result = {"result": 0, "description": "success", "message": ""}

    def _item(self, dn: str) -> dict[str, Any]:
        uid = dn.removeprefix("uid=").partition(",")[0]
        values = [value.encode() for value in self.entries[dn]]
        return {
            "dn": dn,
            "type": "searchResEntry",
            "raw_attributes": {"uid": [uid.encode()], "mailroutingaddress": values},
        }


@pytest.fixture
def change() -> Destination:
    return Destination(FakeAccess())


def connect(monkeypatch: pytest.MonkeyPatch, fake: FakeDirectory) -> FakeDirectory:
    @contextmanager
    def connected(access: Any) -> Iterator[FakeDirectory]:
        yield fake

    monkeypatch.setattr(directory, "connected", connected)
    monkeypatch.setattr(directory, "search", lambda *_: fake.items())
    return fake


@pytest.mark.parametrize(
    ("present", "after"),
    [
        ([OLD], [NEW]),
        ([NEW], [NEW]),
        ([OLD, NEW], [NEW]),
        ([OLD, "ada@phone.test"], ["ada@phone.test", NEW]),
        ([NEW, "ada@phone.test"], [NEW, "ada@phone.test"]),
    ],
)
def test_one_value_is_exchanged_and_goes_back(
    monkeypatch: pytest.MonkeyPatch, change: Destination, present: list[str], after: list[str]
) -> None:
    fake = connect(monkeypatch, FakeDirectory(ada=present))
    before = change.observe()
    change.apply()
    change.verify()
    assert sorted(fake.entries[DN]) == sorted(after)
    change.revert(before)
    assert sorted(fake.entries[DN]) == sorted(present)
    assert change.observe() == before


@pytest.mark.parametrize("present", [[], ["ada@elsewhere.test"]])
def test_an_entry_with_neither_value_is_named_and_left(
    monkeypatch: pytest.MonkeyPatch, change: Destination, present: list[str]
) -> None:
    fake = connect(monkeypatch, FakeDirectory(ada=present, bob=["bob@old.obs.test"]))
    change.observe()
    with pytest.raises(ChangeFailed, match=f"{DN}: expected '{OLD}' to be replaced, but it has"):
        change.apply()
    assert fake.entries[DN] == present
    assert fake.entries["uid=bob,ou=people,dc=obs,dc=test"] == ["bob@new.obs.test"]


def test_an_entry_without_a_usable_name_is_named_and_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, change: Destination
) -> None:
    fake = connect(monkeypatch, FakeDirectory(**{"../etc": ["x@old.obs.test"], "ada": [OLD]}))
    change.observe()
    with pytest.raises(ChangeFailed, match=r"uid=\.\./etc,.*no usable account name"):
        change.apply()
    assert fake.entries[DN] == [NEW]


def test_a_change_in_between_is_refused_by_the_directory_and_named(
    monkeypatch: pytest.MonkeyPatch, change: Destination
) -> None:
    fake = connect(monkeypatch, FakeDirectory(ada=[OLD]))
    fake.meanwhile = {DN: ["ada@elsewhere.test"]}
    change.observe()
    with pytest.raises(ChangeFailed, match=r"changed it in between \(it has 'ada@elsewhere.test'\): noSuchAttribute"):
        change.apply()
    assert fake.entries[DN] == ["ada@elsewhere.test"]


def test_a_second_try_remembers_the_entries_of_the_first_and_finds_the_others_as_they_are(
    monkeypatch: pytest.MonkeyPatch, change: Destination
) -> None:
    fake = connect(monkeypatch, FakeDirectory(ada=[OLD], bob=["wrong@x"]))
    earlier = change.observe()
    with pytest.raises(ChangeFailed):
        change.apply()
    bob = "uid=bob,ou=people,dc=obs,dc=test"
    fake.entries[bob] = ["bob@old.obs.test"]
    first = change.first_state(earlier, change.observe())
    assert ldif.load(first["ldif"]) == {DN: [OLD], bob: ["bob@old.obs.test"]}


def test_an_entry_that_is_gone_is_named_when_it_is_put_back(
    monkeypatch: pytest.MonkeyPatch, change: Destination
) -> None:
    fake = connect(monkeypatch, FakeDirectory(ada=[OLD]))
    before = change.observe()
    change.apply()
    del fake.entries[DN]
    with pytest.raises(ChangeFailed, match=f"{DN}: the entry is gone"):
        change.revert(before)


def test_the_log_is_told_numbers_and_the_journal_everything(
    monkeypatch: pytest.MonkeyPatch, change: Destination
) -> None:
    connect(monkeypatch, FakeDirectory(ada=[OLD]))
    state = change.observe()
    assert OLD in state["ldif"]
    assert change.summary(state) == {"attribute": "mailRoutingAddress", "entries": 1, "obstacles": {}}


def test_nobody_found_is_an_error(monkeypatch: pytest.MonkeyPatch, change: Destination) -> None:
    connect(monkeypatch, FakeDirectory())
    with pytest.raises(ChangeFailed, match="no entry is found"):
        change.observe()


def test_an_entry_that_somebody_changed_since_is_named_and_not_put_back(
    monkeypatch: pytest.MonkeyPatch, change: Destination
) -> None:
    fake = connect(monkeypatch, FakeDirectory(ada=[OLD], bob=["bob@old.obs.test"]))
    before = change.observe()
    change.apply()
    fake.entries[DN] = ["ada@elsewhere.test"]
    with pytest.raises(ChangeFailed, match=f"{DN}: somebody changed it since: it has 'ada@elsewhere.test'"):
        change.revert(before)
    assert fake.entries[DN] == ["ada@elsewhere.test"]
    assert fake.entries["uid=bob,ou=people,dc=obs,dc=test"] == ["bob@old.obs.test"]


def test_accounts_that_stay_on_old_get_their_old_value_and_may_be_moved_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = connect(monkeypatch, FakeDirectory(ada=[NEW]))
    kept = KeptDestination(FakeAccess(), ["ada"])
    before = kept.observe()
    kept.apply()
    kept.verify()
    assert fake.entries[DN] == [OLD]
    kept.revert(before)
    assert fake.entries[DN] == [NEW]

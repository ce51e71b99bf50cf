"""The account's entry, in a directory in memory: it is the one of that very name, and each hold of it is taken away."""

import contextlib
from collections.abc import Iterator
from typing import Any

import ldap3
import pytest
from bascule.hosts import directory
from bascule.hosts.directory import DirectoryError
from bascule.moves.entry import Entry

from tests.unit.changes.fakes import SITE, FakeAccess

assert SITE.moves
HOLD, VALUE = SITE.moves.hold_attribute, SITE.moves.hold_value


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[bytes]]:
    """What the directory has of zoe."""
    found: dict[str, list[bytes]] = {"uid": [b"zoe"]}

    @contextlib.contextmanager
    def connected(access: object) -> Iterator[None]:
        yield None

    def search(*_: object) -> list[dict[str, Any]]:
        return [{"dn": "uid=zoe", "raw_attributes": found}]

    def modify(access: object, connection: object, dn: str, changes: dict[str, list[tuple[str, list[str]]]]) -> int:
        for name, steps in changes.items():
            for operation, values in steps:
                kept = found.get(name, []) if operation == ldap3.MODIFY_ADD else []
                found[name] = [*kept, *(value.encode() for value in values)]
        return 0

    monkeypatch.setattr(directory, "connected", connected)
    monkeypatch.setattr(directory, "search", search)
    monkeypatch.setattr(directory, "modify_together", modify)
    return found


@pytest.mark.parametrize("asked", ["ZOE", " zoe", "Zoe "])
def test_a_name_in_another_spelling_is_no_account(entry: dict[str, list[bytes]], asked: str) -> None:
    """The directory finds it; sessions, the ledger and its lease would be those of somebody else."""
    with pytest.raises(DirectoryError, match=f"writes the account {asked!r} as 'zoe': name it so"):
        Entry(FakeAccess(), asked).hold()
    assert HOLD not in entry


def test_a_hold_is_put_there_once_and_taken_away(entry: dict[str, list[bytes]]) -> None:
    Entry(FakeAccess(), "zoe").hold()
    Entry(FakeAccess(), "zoe").hold()
    assert entry[HOLD] == [VALUE.encode()]
    assert Entry(FakeAccess(), "zoe").release() == [VALUE]
    assert entry[HOLD] == []
    assert Entry(FakeAccess(), "zoe").release() == []


def test_the_final_addresses_are_those_of_the_moment_of_the_hold(
    entry: dict[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The MX is asked about them, and nothing else of the move reads the entry once more for that."""
    found = Entry(FakeAccess(), "zoe")
    assert found.addresses() == {"old": "zoe@old.obs.test", "new": "zoe@new.obs.test"}
    monkeypatch.setattr(directory, "render", lambda template, account: f"{template[-8:]} {account.entry['uid']}")
    assert found.addresses()["new"] == "zoe@new.obs.test"
    found.hold()
    asked = found.addresses()
    assert asked["new"] != "zoe@new.obs.test"
    monkeypatch.setattr(directory, "search", lambda *_: pytest.fail("the directory was asked once more"))
    assert found.addresses() == asked


def test_a_hold_in_the_words_of_an_earlier_site_file_is_taken_away(entry: dict[str, list[bytes]]) -> None:
    entry[HOLD] = [b"retry:4.3.0 umzug"]
    assert Entry(FakeAccess(), "zoe").release() == ["retry:4.3.0 umzug"]
    assert entry[HOLD] == []

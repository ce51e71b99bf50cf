"""The account's entry, in a directory in memory: it is the one of that very name, and each hold of it is taken away."""

import contextlib
from collections.abc import Iterator
from typing import Any

import ldap3
import pytest
from bascule.hosts import directory
from bascule.hosts.directory import DirectoryError
from bascule.moves.entry import Entry
from bascule.moves.machine import CannotMove, EntryGone, HoldGone

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
        after = {name: [*values] for name, values in found.items()}
        for name, steps in changes.items():
            for operation, values in steps:
                there, told = after.get(name, []), [value.encode() for value in values]
                if operation == ldap3.MODIFY_DELETE and not {*told} <= {*there}:
                    return directory.NO_SUCH_VALUE
                kept = [] if operation == ldap3.MODIFY_REPLACE else [value for value in there if value not in told]
                after[name] = kept if operation == ldap3.MODIFY_DELETE else [*kept, *told]
        found.update(after)
        return 0

    monkeypatch.setattr(directory, "connected", connected)
    monkeypatch.setattr(directory, "search", search)
    monkeypatch.setattr(directory, "modify_together", modify)
    monkeypatch.setattr(directory, "reason", lambda _: "noSuchAttribute")
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


def test_an_entry_that_is_held_is_moved_only_where_the_hold_goes_first(entry: dict[str, list[bytes]]) -> None:
    entry |= ON_OLD | {HOLD: [VALUE.encode()]}
    with pytest.raises(CannotMove, match="which no move of this ledger has put there"):
        Entry(FakeAccess(), "zoe").check()
    assert Entry(FakeAccess(), "zoe").check(also_held=True)[HOLD] == [VALUE]
    entry[HOLD] = [b"smtp:elsewhere"]
    with pytest.raises(CannotMove, match="'smtp:elsewhere'"):
        Entry(FakeAccess(), "zoe").check(also_held=True)


@pytest.mark.parametrize("spelled", ["Zoe", "ZOE"])
def test_a_hold_is_taken_away_also_where_the_name_is_written_in_another_case_by_now(
    entry: dict[str, list[bytes]], spelled: str
) -> None:
    entry |= {"uid": [spelled.encode()], HOLD: [VALUE.encode()]}
    assert Entry(FakeAccess(), "zoe").release() == [VALUE]
    assert entry[HOLD] == []


def test_an_account_without_an_entry_is_known_by_what_the_directory_said_before(
    entry: dict[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry |= ON_OLD
    checked = Entry(FakeAccess(), "zoe")
    before = checked.check()
    others = [{"dn": "uid=anna", "raw_attributes": {"uid": [b"anna"]}}]
    monkeypatch.setattr(directory, "search", lambda _, site, asked: others if asked == site.directory.filter else [])
    again = Entry(FakeAccess(), "zoe", before)
    assert again.addresses() == checked.addresses() == {"old": "zoe@old.obs.test", "new": "zoe@new.obs.test"}
    for asked in (again.release, again.hold, again.check, Entry(FakeAccess(), "zoe").addresses):
        with pytest.raises(EntryGone, match="the directory has no entry of the account zoe"):
            asked()
    monkeypatch.setattr(directory, "render", fail)
    assert set(Entry(FakeAccess(), "zoe", before).addresses().values()) == {"zoe@old.obs.test"}
    assert set(Entry(FakeAccess(), "zoe", {"mailHost": []}).addresses().values()) == {"zoe@obs.test"}


def fail(*_: object) -> str:
    raise DirectoryError("the template needs `mail`")


def test_a_directory_that_shows_nobody_has_lost_no_single_account(
    entry: dict[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is being restored: the entries come back, with the hold and the server that they had."""
    monkeypatch.setattr(directory, "search", lambda *_: [])
    for asked in (Entry(FakeAccess(), "zoe").release, Entry(FakeAccess(), "zoe").hold):
        with pytest.raises(DirectoryError, match="the directory shows no account at all"):
            asked()


ON_OLD = {"mailHost": [b"old.obs.test"], "mailRoutingAddress": [b"zoe@old.obs.test"]}


def test_an_entry_is_flipped_while_it_is_held_also_in_other_words(entry: dict[str, list[bytes]]) -> None:
    entry |= ON_OLD | {HOLD: [b"retry:4.3.0 umzug"]}
    Entry(FakeAccess(), "zoe").flip("new", 1_800_000_000)
    assert Entry(FakeAccess(), "zoe").is_at("new")
    assert (entry[HOLD], entry["mailDelayUntil"]) == ([b"retry:4.3.0 umzug"], [b"1800000000"])


@pytest.mark.parametrize("sleeps", ["before", "within"])
def test_an_entry_that_is_not_held_any_more_is_not_flipped(
    entry: dict[str, list[bytes]], monkeypatch: pytest.MonkeyPatch, sleeps: str
) -> None:
    """Another run has undone the move and let the account go, before this one looks, or between look and modify."""
    entry |= ON_OLD | {HOLD: [] if sleeps == "before" else [VALUE.encode()]}
    modify = directory.modify_together

    def sleep(*given: Any) -> int:
        entry[HOLD] = []
        return modify(*given)

    monkeypatch.setattr(directory, "modify_together", sleep)
    with pytest.raises(HoldGone, match="the entry of zoe has no `mailHold` any more"):
        Entry(FakeAccess(), "zoe").flip("new", 1_800_000_000)
    assert {name: entry[name] for name in ON_OLD} == ON_OLD and "mailDelayUntil" not in entry


def test_a_hold_in_the_words_of_an_earlier_site_file_is_taken_away(entry: dict[str, list[bytes]]) -> None:
    entry[HOLD] = [b"retry:4.3.0 umzug"]
    assert Entry(FakeAccess(), "zoe").release() == ["retry:4.3.0 umzug"]
    assert entry[HOLD] == []

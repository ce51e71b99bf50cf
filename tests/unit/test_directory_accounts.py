"""The accounts of the directory: how many of them there may be, and what is no name of one."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from bascule.hosts import directory
from bascule.hosts.directory import DirectoryError, SelectionRefused

from tests.unit.changes.fakes import FakeAccess


class Entries:
    """The directory's entries by their DN: the account names of each."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        self.asked: list[str] = []  # by which filters

    def add(self, *names: str) -> None:
        self.names |= {f"uid={name},ou=people": [name] for name in names}

    def search(self, connection: object, site: object, ldap_filter: str) -> Iterator[dict[str, Any]]:
        self.asked.append(ldap_filter)
        wanted = {name.lower() for name in re.findall(r"\(uid=([^*)]+)\)", ldap_filter)}
        for dn, names in self.names.items():
            if wanted and wanted.isdisjoint(name.lower() for name in names):
                continue
            yield {"dn": dn, "raw_attributes": {"uid": [name.encode() for name in names]}}


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> Entries:
    made = Entries()

    @contextmanager
    def connected(access: object) -> Iterator[None]:
        yield

    monkeypatch.setattr(directory, "connected", connected)
    monkeypatch.setattr(directory, "search", made.search)
    return made


def test_ten_thousand_accounts_are_told_apart_at_once(entries: Entries) -> None:
    entries.add(*(f"a{number:05d}" for number in range(10_000)))
    began = time.thread_time()
    assert len(directory.accounts(FakeAccess())) == 10_000
    assert time.thread_time() - began < 1.0


def test_a_thousand_names_are_asked_for_by_short_filters_and_found_once_each(entries: Entries) -> None:
    names = [f"a{number:04d}" for number in range(1000)]
    entries.add(*names, "zoe")
    found = directory.accounts(FakeAccess(), [*names, names[0]])
    assert [account.name for account in found] == names
    assert max(map(len, entries.asked)) < 4000
    assert directory.known(FakeAccess(), [*names, "yves"]) == {*names}
    assert max(map(len, entries.asked)) < 4000


def test_few_names_are_asked_for_by_one_search(entries: Entries) -> None:
    entries.add("anna", "bert", "carl")
    assert [account.name for account in directory.accounts(FakeAccess(), ["anna", "carl"])] == ["anna", "carl"]
    assert len(entries.asked) == 1


def test_an_unknown_name_among_many_is_told(entries: Entries) -> None:
    names = [f"a{number:04d}" for number in range(1000)]
    entries.add(*names)
    with pytest.raises(SelectionRefused, match="the directory has no account A0999, yves"):
        directory.accounts(FakeAccess(), [*names, "yves", "A0999"])


def test_a_name_with_a_newline_behind_it_is_none(entries: Entries) -> None:
    entries.add("anna", "bert\n")
    with pytest.raises(DirectoryError, match="no usable account name"):
        directory.accounts(FakeAccess())
    assert directory.known(FakeAccess(), ["anna", "bert\n"]) == {"anna"}


def test_two_entries_of_one_name_are_told(entries: Entries) -> None:
    entries.add("anna", "bert")
    entries.names["uid=anna,ou=guests"] = ["anna"]
    with pytest.raises(DirectoryError, match=r"more than one entry .* has the account name anna"):
        directory.accounts(FakeAccess())

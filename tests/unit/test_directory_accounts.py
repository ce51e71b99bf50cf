"""The accounts of the directory: how many of them there may be, and what is no name of one."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from bascule.hosts import directory
from bascule.hosts.directory import DirectoryError

from tests.unit.changes.fakes import FakeAccess


class Entries:
    """The directory's entries by their DN: the account names of each."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}

    def add(self, *names: str) -> None:
        self.names |= {f"uid={name},ou=people": [name] for name in names}

    def search(self, connection: object, site: object, ldap_filter: str) -> Iterator[dict[str, Any]]:
        for dn, names in self.names.items():
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


def test_two_entries_of_one_name_are_told(entries: Entries) -> None:
    entries.add("anna", "bert")
    entries.names["uid=anna,ou=guests"] = ["anna"]
    with pytest.raises(DirectoryError, match=r"more than one entry .* has the account name anna"):
        directory.accounts(FakeAccess())

"""A directory of 5,000 people, on a slapd of the test's own: read page by page, each once, in proportion."""

import time
from collections.abc import Iterator
from pathlib import Path

import ldap3
import pytest
from bascule.hosts import directory

from tests.directory_server import PACKAGES, READER, Directory, slapd
from tests.unit.changes.fakes import SITE
from tests.unpacked import unpacked_or_skip

FEW, MANY = 1_000, 5_000
MOST = 8  # times; in proportion it is 5, and with the square in it, it was 15
PAGE = SITE.directory.page_size


def names(number: int) -> list[str]:
    return [f"p{n:05d}" for n in range(number)]


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Directory]]:
    unpacked_or_skip("slapd", PACKAGES)
    home = tmp_path_factory.mktemp("slapd")
    with slapd(home / "few", names(FEW)) as few, slapd(home / "many", names(MANY)) as many:
        yield {FEW: few, MANY: many}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The filters of all searches, one for each page."""
    found: list[str] = []
    search = ldap3.Connection.search

    def noted(self: ldap3.Connection, base: str, search_filter: str, *args: object, **options: object) -> object:
        found.append(search_filter)
        return search(self, base, search_filter, *args, **options)

    monkeypatch.setattr(ldap3.Connection, "search", noted)
    return found


def seconds(there: Directory) -> float:
    """Of the processor, to read everybody."""
    access, began = there.access(SITE), time.process_time()
    directory.accounts(access)
    return time.process_time() - began


def test_everybody_is_found_once_page_by_page(directories: dict[int, Directory], asked: list[str]) -> None:
    found = directory.accounts(directories[MANY].access(SITE))

    assert [account.name for account in found] == names(MANY)
    assert MANY // PAGE <= asked.count(SITE.directory.filter) <= MANY // PAGE + 1


def test_five_times_the_people_cost_no_more_than_in_proportion(directories: dict[int, Directory]) -> None:
    took: dict[int, list[float]] = {FEW: [], MANY: []}
    for _ in range(2):
        for number, times in took.items():
            times.append(seconds(directories[number]))
    assert min(took[MANY]) < MOST * min(took[FEW])


def test_many_names_cost_searches_and_filters_in_proportion(
    directories: dict[int, Directory], asked: list[str]
) -> None:
    sent = {}
    for number, there in directories.items():
        asked.clear()
        assert len(directory.accounts(there.access(SITE), names(number))) == number
        filters = [text for text in asked if "(uid=" in text]
        sent[number] = (len(filters), sum(map(len, filters)))
    assert [many / few for few, many in zip(sent[FEW], sent[MANY], strict=True)] == [MANY / FEW] * 2


def test_a_directory_that_gives_only_500_says_what_to_do(tmp_path: Path) -> None:
    """OpenLDAP's own limit counts all pages of a search together."""
    unpacked_or_skip("slapd", PACKAGES)
    told = pytest.raises(directory.DirectoryError, match=f'`limits dn.exact="{READER}" size=unlimited`')
    with slapd(tmp_path / "slapd", names(501), limits="") as there, told:
        directory.accounts(there.access(SITE))

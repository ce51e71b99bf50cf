"""The control room over a ledger, for somebody who says who they are."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bascule.ledger import Ledger
from bascule.site import Site, load
from fastapi.testclient import TestClient

from lab.measure.control_room import app_of
from lab.measure.made_day import Moment, make_day
from lab.paths import SITE_FILE


@pytest.fixture(scope="session")
def site() -> Site:
    return load(SITE_FILE)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def client_of(ledger: Ledger, site: Site, visitor: str = "postmaster", language: str = "en") -> TestClient:
    """A browser of this visitor."""
    headers = {"accept-language": language}
    return TestClient(app_of(ledger, site), "http://room/bascule", cookies={"visitor": visitor}, headers=headers)


@pytest.fixture
def client(ledger: Ledger, site: Site) -> Iterator[TestClient]:
    with client_of(ledger, site) as client:
        yield client


def made(folder: Path, moment: Moment, accounts: int = 60) -> Ledger:
    """A ledger at this moment of a day."""
    ledger = Ledger(f"sqlite:///{folder / 'made.db'}")
    make_day(ledger, accounts, moment)
    return ledger


@pytest.fixture(scope="session")
def in_transfer(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """A day in the middle of `transfer`, with questions and a failure; for tests that only look."""
    return made(tmp_path_factory.mktemp("transfer"), "transfer")


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """A day that is done; for tests that only look."""
    return made(tmp_path_factory.mktemp("done"), "done")

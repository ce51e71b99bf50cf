"""Filters with PostgreSQL as ledger: the same tests of a pass, of its leases and of its page as on SQLite."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from bascule.ledger import Ledger
from bascule.ledger.base import Base

from tests.integration.test_ledger_postgresql import server  # noqa: F401 - a fixture
from tests.unit.sieve.test_one_account import *  # noqa: F403
from tests.unit.sieve.test_sync import *  # noqa: F403


@pytest.fixture
def ledger(server: str) -> Iterator[Ledger]:  # noqa: F811 - the fixture
    made = Ledger(server)
    yield made
    Base.metadata.drop_all(made.engine)
    made.engine.dispose()


def test_it_is_postgresql(ledger: Ledger) -> None:
    with ledger.reading() as session:
        assert "PostgreSQL" in session.scalar(sa.text("SELECT version()"))

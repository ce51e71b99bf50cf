"""Filters with PostgreSQL as ledger: the same tests of a pass, of its leases and of its page as on SQLite."""

import sqlalchemy as sa
from bascule.ledger import Ledger

from tests.unit.sieve.test_account_sync import *  # noqa: F403
from tests.unit.sieve.test_sync import *  # noqa: F403

from tests.integration.test_ledger_postgresql import ledger, server, url  # isort: skip # noqa: F401 - fixtures, last


def test_it_is_postgresql(ledger: Ledger) -> None:  # noqa: F811 - the fixture
    with ledger.reading() as session:
        assert "PostgreSQL" in session.scalar(sa.text("SELECT version()"))

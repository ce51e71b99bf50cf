"""The ledger on PostgreSQL: the same tests as on SQLite, on a server of their own in a temporary directory."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from bascule.ledger import Ledger, base

from tests.unit.test_ledger import *  # noqa: F403
from tests.unit.test_ledger_schema import *  # noqa: F403
from tests.unit.test_ledger_warm import *  # noqa: F403

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A PostgreSQL server that listens on a socket in a directory of its own; its URL without a database."""
    directory = Path(tempfile.mkdtemp(prefix="bascule-postgresql-"))
    shutil.chown(directory, "postgres", "postgres")
    directory.chmod(0o755)
    as_postgres = ["runuser", "-u", "postgres", "--", "env", f"PATH={BINARIES[-1]}:{os.environ['PATH']}"]
    data = str(directory / "data")
    options = f"-c listen_addresses= -c unix_socket_directories={directory} -c fsync=off"
    subprocess.run([*as_postgres, "initdb", "-A", "trust", "-D", data], check=True, capture_output=True, cwd="/")
    start = ["pg_ctl", "-w", "-D", data, "-o", options, "-l", str(directory / "log"), "start"]
    subprocess.run([*as_postgres, *start], check=True, capture_output=True, cwd="/")
    try:
        yield f"postgresql+psycopg2://postgres@/postgres?host={directory}"
    finally:
        stop = ["pg_ctl", "-w", "-m", "immediate", "-D", data, "stop"]
        subprocess.run([*as_postgres, *stop], check=True, capture_output=True, cwd="/")
        shutil.rmtree(directory)


@pytest.fixture
def url(server: str) -> Iterator[str]:
    yield server
    engine = sa.create_engine(server)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    made = Ledger(url)
    yield made
    made.engine.dispose()


def test_it_is_postgresql(ledger: Ledger) -> None:
    with ledger.reading() as session:
        assert "PostgreSQL" in session.scalar(sa.text("SELECT version()"))


def test_what_only_reads_needs_no_transaction_around_it(ledger: Ledger) -> None:
    with ledger.reading() as session:
        assert session.scalar(sa.text("SELECT now()")) < session.scalar(sa.text("SELECT now()"))
    with ledger.session() as session:
        assert session.scalar(sa.text("SELECT now()")) == session.scalar(sa.text("SELECT now()"))


def test_a_connection_that_was_lost_while_nobody_used_it_is_replaced(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = sa.text("SELECT pg_backend_pid()")
    with ledger.reading() as session:
        before = session.scalar(backend)
    other = sa.create_engine(ledger.url)
    with other.begin() as connection:
        connection.execute(sa.text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": before})
    other.dispose()
    monkeypatch.setattr(base, "IDLE_SECONDS", 0)
    for opened in (ledger.session, ledger.reading):
        with opened() as session:
            assert session.scalar(backend) != before

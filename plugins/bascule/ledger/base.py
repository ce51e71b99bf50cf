"""The ledger's database: one URL, SQLite (WAL) by default, PostgreSQL for a cluster."""

import contextlib
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Session

BUSY_SECONDS = 60  # how long a writer waits for another one
SCHEMA_LOCK = 0x6261736375  # PostgreSQL advisory lock: who makes the tables, or appends to the journal


class LedgerError(Exception):
    """Raised when the ledger can't be opened, or when what stands in it forbids the act."""


class Base(DeclarativeBase):
    """All tables of the ledger."""

    type_annotation_map: ClassVar = {dict[str, Any]: sa.JSON, list[Any]: sa.JSON}


def now() -> datetime:
    """The present instant, in UTC, without a time zone's mark (as the ledger keeps every time)."""
    return datetime.now(UTC).replace(tzinfo=None)


class Ledger:
    """The open database. Cheap to make; safe in threads (each `session` has a connection of its own)."""

    def __init__(self, url: str) -> None:
        self.url = url
        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        try:
            self.engine = _make_engine(url)
            self._writer = self.engine.execution_options(bascule_write=True)
            self._create_tables()
        except sa.exc.SQLAlchemyError as error:
            raise LedgerError(f"the ledger {sa.make_url(url).render_as_string()} can't be opened: {error}") from error

    @classmethod
    def from_environment(cls) -> "Ledger":
        """The ledger that `BASCULE_LEDGER` names (an SQLAlchemy URL; its password stays in the environment)."""
        url = os.environ.get("BASCULE_LEDGER")
        if not url:
            raise LedgerError("no ledger: set BASCULE_LEDGER, for example to sqlite:////srv/bascule/ledger.db")
        return cls(url)

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """A read-write transaction: committed at the end, rolled back on an exception."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that only reads; never waits for a writer on SQLite."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    def _create_tables(self) -> None:
        with self._writer.begin() as connection:
            lock_for_append(connection)
            Base.metadata.create_all(connection)


def lock_for_append(connection: sa.Connection) -> None:
    """Let one transaction at a time pass here (SQLite's BEGIN IMMEDIATE has done so already)."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": SCHEMA_LOCK})


def _make_engine(url: str) -> sa.Engine:
    if not url.startswith("sqlite"):
        return sa.create_engine(url, pool_pre_ping=True)
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's `begin` event says BEGIN, not the driver
    cursor = connection.cursor()
    deadline = time.monotonic() + BUSY_SECONDS
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")  # a journal row is on the disk before the act that it announces
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            break
        except Exception:  # the change of mode does not wait by itself when another process is at it
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # IMMEDIATE: a writer that first reads would otherwise fail at once when another writer came between.
    write = connection.get_execution_options().get("bascule_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

"""The ledger's database: one URL, SQLite (WAL) by default, PostgreSQL for a cluster."""

import contextlib
import importlib
import os
import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Session

from bascule.ledger import schema
from bascule.text.reason import reason

BUSY_SECONDS = 60  # how long a writer waits for another one
COMMAND_SECONDS = 30.0  # for the command that prints the ledger's address
IDLE_SECONDS = 1  # after which a connection to PostgreSQL is tried before it is used
Item = TypeVar("Item")
SCHEMA_LOCK = 0x6261736375  # PostgreSQL advisory lock: who makes the tables, or appends to the journal


class LedgerError(Exception):
    """Raised when the ledger can't be opened, or when what stands in it forbids the act."""


class LedgerAway(LedgerError):
    """Raised when the ledger's database can't be reached, or takes nothing at this moment: it may pass by itself."""


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
        self.engine = _engine_of(url)
        try:
            self._writer = self.engine.execution_options(bascule_write=True)
            self._reader = _reading(self.engine)
            self._bring_up()
        except schema.NewerLedger as error:
            raise LedgerError(f"the ledger {sa.make_url(url).render_as_string()} can't be used: {error}") from None
        except sa.exc.SQLAlchemyError as error:
            words = reason(getattr(error, "orig", None) or error)
            kind = LedgerAway if isinstance(error, sa.exc.OperationalError) else LedgerError
            raise kind(f"the ledger {sa.make_url(url).render_as_string()} can't be opened: {words}") from error

    @classmethod
    def from_environment(cls) -> Self:
        """The ledger that `BASCULE_LEDGER` names, an SQLAlchemy URL, or that the command BASCULE_LEDGER_CMD prints.

        With the command the URL's password stands in no environment.
        """
        url = os.environ.get("BASCULE_LEDGER") or _printed_by(os.environ.get("BASCULE_LEDGER_CMD", ""))
        if not url:
            raise LedgerError("no ledger: set BASCULE_LEDGER, for example to sqlite:////srv/bascule/ledger.db")
        return cls(url)

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """A read-write transaction: committed at the end, rolled back on an exception. Raises LedgerAway."""
        with self._spelled("written"), Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextlib.contextmanager
    def reading(self, *, in_slices: bool = False) -> Iterator[Session]:
        """Only reads; never waits for a writer on SQLite. Raises LedgerAway.

        `in_slices`: something is read that the database hands out piece by piece, as PostgreSQL does in a transaction.
        """
        engine = self.engine if in_slices else self._reader
        with self._spelled("read"), Session(engine, expire_on_commit=False, autoflush=False) as session:
            yield session

    @contextlib.contextmanager
    def _spelled(self, act: str) -> Iterator[None]:
        """What the database itself says (its disk is full, it has gone) reaches people without the statement."""
        try:
            yield
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError, sa.exc.DatabaseError) as error:
            if isinstance(error, sa.exc.IntegrityError | sa.exc.ProgrammingError | sa.exc.DataError):
                raise
            raise LedgerAway(
                f"the ledger {sa.make_url(self.url).render_as_string()} can't be {act}: {error.orig}. Nothing that was "
                "written before is lost; when the cause is mended, run it again"
            ) from error

    def _bring_up(self) -> None:
        """Make the tables, or what an older Bascule's ledger lacks of them; one process at a time."""
        with self.engine.connect() as connection:
            if schema.is_current(connection):
                return
        with self._writer.begin() as connection:
            lock_for_append(connection)
            if not sa.inspect(connection).get_table_names():
                schema.make(connection, tables)
            elif not schema.is_current(connection):
                schema.bring_up(connection)


def tables() -> sa.MetaData:
    """All tables of the ledger: those of every module beside this one."""
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        importlib.import_module(f"bascule.ledger.{path.stem}")
    return Base.metadata


def _printed_by(command: str) -> str:
    """The URL that a command prints; nothing without a command. Raises LedgerError with the command's words.

    Raises LedgerAway for one that goes on and on, which must not keep the scheduler from starting.
    """
    words = shlex.split(command)
    if not words:
        return ""
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=COMMAND_SECONDS).stdout.strip()
    except subprocess.TimeoutExpired:
        raise LedgerAway(
            f"BASCULE_LEDGER_CMD ({words[0]}) has not ended within {COMMAND_SECONDS:g} seconds: see what it waits for"
        ) from None
    except subprocess.CalledProcessError as error:
        raise LedgerError(f"BASCULE_LEDGER_CMD ({words[0]}) failed: {error.stderr.strip()}") from None
    except OSError as error:
        raise LedgerError(f"BASCULE_LEDGER_CMD can't be run: {words[0]}: {error.strerror}") from None


def pieces(items: Sequence[Item], size: int = 500) -> Iterator[Sequence[Item]]:
    """All of them, so many at a time: a statement of SQLite takes 32,766 values, where it was not built for more."""
    return (items[at : at + size] for at in range(0, len(items), size))


def lock_for_append(connection: sa.Connection) -> None:
    """Let one transaction at a time pass here (SQLite's BEGIN IMMEDIATE has done so already)."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": SCHEMA_LOCK})


def _engine_of(url: str) -> sa.Engine:
    """Raises LedgerError for what is no address of a database, without a part of it: a password may stand there."""
    try:
        return _make_engine(url)
    except (sa.exc.ArgumentError, ValueError, ImportError):
        raise LedgerError(
            "the ledger can't be used: BASCULE_LEDGER is no address of an SQLite or PostgreSQL database, as "
            "`sqlite:////srv/bascule/ledger.db` or `postgresql+psycopg2://bascule:password@host/ledger` are. In a "
            "password, `@`, `/`, `:`, `#` and `%` are written as `%40`, `%2F`, `%3A`, `%23` and `%25`"
        ) from None


_kept: dict[str, sa.Engine] = {}  # by kind: used before the fork, without connections and addresses (see `warm`)
_addresses: WeakKeyDictionary[sa.Dialect, Any] = WeakKeyDictionary()  # what connections of an engine are made with


def _make_engine(url: str) -> sa.Engine:
    kind = kind_of(url)
    engine = _kept.pop(kind, None) or _new_engine(kind)
    if not url.startswith("sqlite"):
        _addresses[engine.dialect] = engine.dialect.create_connect_args(sa.make_url(url))
    return engine


def kind_of(url: str) -> str:
    """Which engine serves this database: one for each driver, or for each file of SQLite."""
    return url if url.startswith("sqlite") else f"{sa.make_url(url).drivername}://"


def keep_engine(url: str, engine: sa.Engine) -> None:
    """Keep it, with all that it has compiled, for the next ledger of its kind in this process or in a fork of it."""
    engine.dispose()
    _addresses.pop(engine.dialect, None)
    _kept[kind_of(url)] = engine


def give_up_after(engine: sa.Engine, seconds: int) -> None:
    """A connection to PostgreSQL that is not made by then, where the address says nothing else, can't be made."""
    if engine.dialect in _addresses:
        _addresses[engine.dialect][1].setdefault("connect_timeout", seconds)


def _connect(dialect: sa.Dialect, *_: Any) -> Any:
    args, params = _addresses[dialect]
    return dialect.connect(*args, **params)


def _new_engine(kind: str) -> sa.Engine:
    if not kind.startswith("sqlite"):
        engine = sa.create_engine(kind)
        sa.event.listen(engine, "do_connect", _connect)
        sa.event.listen(engine, "checkin", _note_use)
        sa.event.listen(engine, "checkout", _ping_after_a_rest)
        return engine
    engine = sa.create_engine(kind, connect_args={"timeout": BUSY_SECONDS})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _reading(engine: sa.Engine) -> sa.Engine:
    """Each statement by itself on PostgreSQL: READ COMMITTED shows each its own picture anyway, and BEGIN and ROLLBACK
    around every single SELECT would be two more round trips."""
    return engine.execution_options(isolation_level="AUTOCOMMIT") if engine.dialect.name == "postgresql" else engine


def _note_use(_: Any, record: Any) -> None:
    record.info["used"] = time.monotonic()


def _ping_after_a_rest(connection: Any, record: Any, _: Any) -> None:
    """A connection that has lain idle may have been lost with its server; a task uses one every few milliseconds."""
    if time.monotonic() - record.info.get("used", time.monotonic()) < IDLE_SECONDS:
        return
    cursor = connection.cursor()
    try:
        cursor.execute("SELECT 1")
        connection.rollback()
    except Exception as error:  # whatever the driver calls it, the pool takes another connection then
        raise sa.exc.DisconnectionError from error
    finally:
        cursor.close()


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

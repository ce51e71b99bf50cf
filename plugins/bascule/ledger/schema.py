"""The ledger's tables through the versions of Bascule: each change of them is a revision in `migrations/versions/`.

Revisions are numbered in one line. Whoever opens a ledger brings it up to the newest one, in one transaction; an empty
database gets the tables of the models, which are the same; those of SQLite are written down, too.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

MIGRATIONS = Path(__file__).resolve().parent / "migrations"
REVISIONS = sorted(path.name.split("_")[0] for path in MIGRATIONS.glob("versions/[0-9]*.py"))
VERSION_TABLE = "ledger_version"
WRITTEN_DOWN = MIGRATIONS / "newest.sqlite.sql"
END = ";\n\n"  # of a statement
_ONE_AT_A_TIME = threading.Lock()  # Alembic keeps what it works on in a module


class NewerLedger(Exception):
    """Raised when the ledger was brought up by a newer Bascule than this one."""


def revision(connection: sa.Connection) -> str | None:
    """The ledger's revision; None when it has none: it is empty, or older than the numbering."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608


def is_current(connection: sa.Connection) -> bool:
    """Whether the ledger has all revisions that this Bascule knows. Raises NewerLedger when it has more."""
    found = revision(connection)
    if found is not None and found > REVISIONS[-1]:
        raise NewerLedger(
            f"a newer Bascule has changed its tables (revision {found}; this one knows {REVISIONS[-1]}): use that "
            "version, or restore the ledger that was saved before the upgrade"
        )
    return found == REVISIONS[-1]


def make(connection: sa.Connection, models: Callable[[], sa.MetaData]) -> None:
    """All tables at once in an empty database, in the caller's transaction: Alembic's import costs a second.

    SQLite's are made as they were written down: a first copy by command line would pay for the classes of all models.
    """
    if connection.dialect.name == "sqlite":
        for statement in WRITTEN_DOWN.read_text(encoding="utf-8").split(END):
            connection.exec_driver_sql(statement)
    else:
        models().create_all(connection, checkfirst=False)
        version_table().create(connection)
    connection.execute(version_table().insert().values(version_num=REVISIONS[-1]))


def version_table() -> sa.Table:
    """In which Alembic keeps the ledger's revision."""
    return sa.Table(
        VERSION_TABLE,
        sa.MetaData(),
        sa.Column("version_num", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
    )


def bring_up(connection: sa.Connection) -> None:
    """Carry out the revisions that the ledger lacks, in the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    with _ONE_AT_A_TIME:
        command.upgrade(config, "head")

"""The ledger in a process that forks others: what is asked of it there has been compiled for each of them.

SQLAlchemy turns a statement into SQL when it is first executed, and remembers that for the engine. A task's process,
which executes each a few times, would spend more on that than on the rest of its work with the ledger.
"""

import contextlib
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.orm import Session

from bascule.ledger import schema
from bascule.ledger.base import Ledger, give_up_after, keep_engine

CONNECT_SECONDS = 10  # a server that takes a connection and never answers must not keep the scheduler from starting


@contextlib.contextmanager
def taken_back() -> Iterator[Ledger]:
    """The ledger of the environment; all that is written is taken back at the end.

    Its engine is kept for the first ledger of a forked process, without connections, address and password. An empty
    ledger gets its tables, and an older one is brought up; that stays: otherwise all tasks would compile until Airflow
    is started again. Raises LedgerError.
    """
    ledger = _TakenBack.from_environment()
    try:
        with ledger._writer.connect() as ledger.connection:
            ledger.connection.begin()
            yield ledger
    finally:
        keep_engine(ledger.url, ledger.engine)


class _TakenBack(Ledger):
    connection: sa.Connection  # all sessions are parts of its one transaction, which is never committed

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        with (
            self._spelled("written"),
            Session(self.connection, expire_on_commit=False, join_transaction_mode="create_savepoint") as session,
            session.begin(),
        ):
            yield session

    @contextlib.contextmanager
    def reading(self, *, in_slices: bool = False) -> Iterator[Session]:
        with self.session() as session:
            yield session

    def _bring_up(self) -> None:
        """Raises LedgerError; no connection is left then to the processes that are forked."""
        give_up_after(self.engine, CONNECT_SECONDS)
        try:
            super()._bring_up()
            with self.engine.connect() as connection:
                schema.is_current(connection)  # what each task asks first, and nobody has where tables were just made
        except BaseException:
            self.engine.dispose()
            raise

"""Leases: two runs never work on one mailbox at the same time. A dead task loses its lease by time.

Every way into a mailbox, into the filters or the calendars of an account takes its lease in the room that works on it,
whoever calls: a task, a command line, a test. A task that does more than one thing holds it around all of them.
"""

import contextlib
import os
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from bascule.ledger.base import Base, Ledger, LedgerError, now

LEASE_SECONDS = 40  # shorter than Airflow takes to give a lost task out again
ASK_AGAIN_SECONDS = 1
STILL_STORED_SECONDS = 2.0  # for so long a server may go on with what it had got from a process that was killed


class LeaseHeld(LedgerError):
    """Raised when another task works on the mailbox now; try again later."""


class LeaseRow(Base):
    __tablename__ = "lease"

    account: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    owner: Mapped[str] = mapped_column(sa.Text)
    expires_at: Mapped[datetime]


@contextlib.contextmanager
def lease(
    ledger: Ledger, account: str, owner: str, seconds: int = LEASE_SECONDS, *, of: str = "mailbox", patience: float = 0
) -> Iterator[None]:
    """Hold the mailbox (or what `of` names) of `account` for `owner`, renewed by a thread until the end.

    The same owner may hold it once more while it holds it (the room that a task calls). Raises LeaseHeld when another
    one still has it after `patience` seconds.
    """
    what = f"the {of} of {account}"
    account = account if of == "mailbox" else f"{of}/{account}"
    held = (ledger.url, account, owner)
    with _lock:
        outermost = not _held[held]
        _held[held] += 1
    try:
        with _taken(ledger, account, owner, seconds, what, patience) if outermost else contextlib.nullcontext():
            yield
    finally:
        with _lock:
            _held[held] -= 1
            if not _held[held]:
                del _held[held]  # the ledger's URL may have a password


def require(ledger: Ledger, account: str, owner: str) -> None:
    """See that the mailbox is still held, after a time in which it may have been lost. Raises LeaseHeld."""
    with ledger.reading() as session:
        row = session.get(LeaseRow, account)
        holder = row.owner if row else "nobody"
    if holder != owner:
        raise LeaseHeld(f"the mailbox of {account} was lost to another task while this one slept: {holder} has it now")


def held_by_others(ledger: Ledger, owner: str) -> dict[str, str]:
    """The mailboxes that somebody works on now, with who does."""
    query = sa.select(LeaseRow).where(LeaseRow.owner != owner, LeaseRow.expires_at >= now())
    with ledger.reading() as session:
        return {row.account: row.owner for row in session.scalars(query) if not _is_gone(row.owner)}


def this_process(command: str) -> str:
    """Who holds leases outside of Airflow: another one at each call. When the process is gone, they are free."""
    return of_this_process(f"{command} {next(_numbers)}")


def of_this_process(name: str) -> str:
    """The same for a task, whose rooms hold its lease once more."""
    return f"{name} of process {os.getpid()} on {socket.gethostname()}"


_held: Counter[tuple[str, str, str]] = Counter()  # how often this process holds each
_lock = threading.Lock()
_numbers = count(1)
_PROCESS = re.compile(r" of process (\d+) on (\S+)$")


@contextlib.contextmanager
def _taken(ledger: Ledger, account: str, owner: str, seconds: int, what: str, patience: float) -> Iterator[None]:
    deadline = time.monotonic() + patience
    while True:
        try:
            after_one_killed = _take(ledger, account, owner, seconds, what)
            break
        except sa.exc.IntegrityError:  # on PostgreSQL another one wrote the account's first row at the same moment
            continue
        except LeaseHeld:
            if time.monotonic() > deadline:
                raise
        time.sleep(ASK_AGAIN_SECONDS)
    done = threading.Event()
    keeper = threading.Thread(target=_keep, args=(ledger, account, owner, seconds, done), daemon=True)
    keeper.start()
    try:
        if after_one_killed:
            time.sleep(STILL_STORED_SECONDS)  # it would be looked for too soon, and sent twice
        yield
    finally:
        done.set()
        keeper.join()
        with ledger.session() as session:
            session.execute(sa.delete(LeaseRow).where(LeaseRow.account == account, LeaseRow.owner == owner))


def _take(ledger: Ledger, account: str, owner: str, seconds: int, what: str) -> bool:
    """Returns whether it was held until just now by a process that was killed. Raises LeaseHeld."""
    with ledger.session() as session:
        row = session.get(LeaseRow, account, with_for_update=True)
        until = now() + timedelta(seconds=seconds)
        if row is None:
            session.add(LeaseRow(account=account, owner=owner, expires_at=until))
            return False
        just_held = row.owner != owner and row.expires_at >= now()
        if just_held and not _is_gone(row.owner):
            raise LeaseHeld(
                f"{what} is being worked on by {row.owner}. If that task no longer runs, its hold ends by itself at "
                f"{row.expires_at:%H:%M:%S} UTC: run this one again then"
            )
        row.owner, row.expires_at = owner, until
        return just_held


def _is_gone(owner: str) -> bool:
    """Whether it was held by a process of this machine that was killed."""
    found = _PROCESS.search(owner)
    return found is not None and found[2] == socket.gethostname() and not Path("/proc", found[1]).exists()


def _keep(ledger: Ledger, account: str, owner: str, seconds: int, done: threading.Event) -> None:
    while not done.wait(seconds / 3):
        with contextlib.suppress(sa.exc.SQLAlchemyError, LedgerError), ledger.session() as session:
            session.execute(
                sa.update(LeaseRow)
                .where(LeaseRow.account == account, LeaseRow.owner == owner)
                .values(expires_at=now() + timedelta(seconds=seconds))
            )

"""Leases: two runs never work on one mailbox at the same time. A dead task loses its lease by time."""

import contextlib
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from bascule.ledger.base import Base, Ledger, LedgerError, now

LEASE_SECONDS = 90


class LeaseHeld(LedgerError):
    """Raised when another task works on the mailbox now; try again later."""


class LeaseRow(Base):
    __tablename__ = "lease"

    account: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    owner: Mapped[str] = mapped_column(sa.Text)
    expires_at: Mapped[datetime]


@contextlib.contextmanager
def lease(
    ledger: Ledger, account: str, owner: str, seconds: int = LEASE_SECONDS, *, of: str = "mailbox"
) -> Iterator[None]:
    """Hold the mailbox (or what `of` names) of `account` for `owner`, renewed by a thread until the end.

    The same owner (a task's next try) may take its own lease over at once. Raises LeaseHeld.
    """
    what = f"the {of} of {account}"
    account = account if of == "mailbox" else f"{of}/{account}"
    try:
        _take(ledger, account, owner, seconds, what)
    except sa.exc.IntegrityError:  # on PostgreSQL another one wrote the account's first row at the same moment
        _take(ledger, account, owner, seconds, what)
    done = threading.Event()
    keeper = threading.Thread(target=_keep, args=(ledger, account, owner, seconds, done), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()
        with ledger.session() as session:
            session.execute(sa.delete(LeaseRow).where(LeaseRow.account == account, LeaseRow.owner == owner))


def _take(ledger: Ledger, account: str, owner: str, seconds: int, what: str) -> None:
    with ledger.session() as session:
        row = session.get(LeaseRow, account, with_for_update=True)
        if row is None:
            session.add(LeaseRow(account=account, owner=owner, expires_at=now() + timedelta(seconds=seconds)))
        elif row.owner == owner or row.expires_at < now():
            row.owner, row.expires_at = owner, now() + timedelta(seconds=seconds)
        else:
            raise LeaseHeld(
                f"{what} is being worked on by {row.owner}. If that task no longer runs, its hold ends by itself at "
                f"{row.expires_at:%H:%M:%S} UTC: run this one again then"
            )


def _keep(ledger: Ledger, account: str, owner: str, seconds: int, done: threading.Event) -> None:
    while not done.wait(seconds / 3):
        with contextlib.suppress(sa.exc.SQLAlchemyError), ledger.session() as session:
            session.execute(
                sa.update(LeaseRow)
                .where(LeaseRow.account == account, LeaseRow.owner == owner)
                .values(expires_at=now() + timedelta(seconds=seconds))
            )

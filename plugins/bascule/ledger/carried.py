"""What was carried of folders besides messages: access rights and annotations, each by its name.

The values are short texts: rights as letters, an annotation as the SHA-256 of its octets (what users write into
annotations is theirs and does not belong into the ledger).
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from bascule.ledger.base import Base, Ledger, pieces
from bascule.text.harmless import storable

What = Literal["acl", "metadata"]


@dataclass(frozen=True)
class Carried:
    """One entry of a folder. `old`: its value on old when it was last carried to the end (None: never yet).

    `new`: its value on new then; `intended`: what was being put there when a pass ended in the middle; `ours`: it was
    not on new before Bascule put it there.
    """

    name: str
    old: str | None
    new: str | None
    intended: str | None
    ours: bool


class CarriedRow(Base):
    __tablename__ = "carried"

    account: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    folder: Mapped[str] = mapped_column(sa.String(64), primary_key=True)  # FolderRow.old_hash
    what: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    name_hash: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    name: Mapped[str] = mapped_column(sa.Text)
    old: Mapped[str | None] = mapped_column(sa.Text)
    new: Mapped[str | None] = mapped_column(sa.Text)
    intended: Mapped[str | None] = mapped_column(sa.Text)
    ours: Mapped[bool]


def others_may_write(ledger: Ledger) -> set[str]:
    """The accounts into whose folders somebody else may put messages (RFC 4314: `i`, or by mail `p`), as old had it."""
    grants = (CarriedRow.old.contains("i"), CarriedRow.old.contains("p"))
    query = sa.select(CarriedRow.account, CarriedRow.name).where(CarriedRow.what == "acl", sa.or_(*grants)).distinct()
    with ledger.reading() as session:
        found = [(row.account, row.name) for row in session.execute(query)]
    return {account for account, name in found if name.casefold() != account.casefold() and not name.startswith("-")}


def carried(ledger: Ledger, account: str, what: What) -> dict[str, dict[str, Carried]]:
    """The entries of all folders of an account: folder -> name -> entry."""
    query = sa.select(CarriedRow).where(CarriedRow.account == account, CarriedRow.what == what)
    found: dict[str, dict[str, Carried]] = {}
    with ledger.reading() as session:
        for row in session.scalars(query):
            entry = Carried(row.name, row.old, row.new, row.intended, row.ours)
            found.setdefault(row.folder, {})[row.name] = entry
    return found


def remember(session: Session, account: str, folder: str, what: What, entry: Carried) -> None:
    """Write one entry, new or known."""
    session.merge(
        CarriedRow(
            account=account, folder=folder, what=what, name_hash=_hash(entry.name), name=storable(entry.name),
            old=entry.old, new=entry.new, intended=entry.intended, ours=entry.ours,
        )
    )  # fmt: skip


def forget(session: Session, account: str, folder: str, what: What, name: str) -> None:
    """The entry is gone from old and dealt with on new."""
    session.execute(
        sa.delete(CarriedRow).where(
            CarriedRow.account == account,
            CarriedRow.folder == folder,
            CarriedRow.what == what,
            CarriedRow.name_hash == _hash(name),
        )
    )


def forget_folders(session: Session, account: str, folders: Collection[str]) -> None:
    """These folders are gone from old, or begin anew on new."""
    for some in pieces(sorted(folders)):
        session.execute(sa.delete(CarriedRow).where(CarriedRow.account == account, CarriedRow.folder.in_(some)))


def known_folders(ledger: Ledger, account: str) -> set[str]:
    """The folders of which something was carried."""
    with ledger.reading() as session:
        return set(session.scalars(sa.select(CarriedRow.folder).where(CarriedRow.account == account).distinct()))


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()

"""The pictures that functional tests take: in the ledger, so that the report has them wherever it is written."""

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from bascule.ledger.base import Base, Ledger, now


class PictureRow(Base):
    """One picture (PNG) of one run of a functional test, known by what the journal says of that run."""

    __tablename__ = "picture"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    place: Mapped[str] = mapped_column(sa.String(1024), index=True)  # "pictures" of the journal's row
    name: Mapped[str] = mapped_column(sa.String(255))
    taken_at: Mapped[datetime]
    png: Mapped[bytes] = mapped_column(sa.LargeBinary)


def keep(ledger: Ledger, place: str, found: Mapping[str, bytes]) -> None:
    """Keep the pictures of one run, by their names."""
    with ledger.session() as session:
        session.add_all(PictureRow(place=place, name=name, taken_at=now(), png=png) for name, png in found.items())


def of_place(ledger: Ledger, place: str) -> dict[str, bytes]:
    """The pictures of one run, by their names and in the order of them."""
    query = sa.select(PictureRow).where(PictureRow.place == place).order_by(PictureRow.name)
    with ledger.reading() as session:
        return {row.name: row.png for row in session.scalars(query)}

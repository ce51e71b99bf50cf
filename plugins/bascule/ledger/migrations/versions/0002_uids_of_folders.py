"""Whether a folder on new has the UIDs that it has on old. Folders of earlier ledgers were carried without."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("folder") as folder:
        folder.add_column(sa.Column("uids", sa.String(length=8), nullable=False, server_default=""))
        folder.add_column(sa.Column("uids_reason", sa.Text(), nullable=False, server_default=""))
        folder.add_column(sa.Column("uids_ended_at", sa.DateTime(), nullable=True))
        folder.add_column(sa.Column("foreign_uid", sa.BigInteger(), nullable=False, server_default="0"))
        folder.add_column(sa.Column("given_uidvalidity", sa.BigInteger(), nullable=False, server_default="0"))

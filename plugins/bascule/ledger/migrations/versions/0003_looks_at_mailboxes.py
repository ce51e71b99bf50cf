"""When a look has found a mailbox as its last pass had left it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    with op.batch_alter_table("mailbox") as table:
        table.add_column(sa.Column("looked_at", sa.DateTime(), nullable=True))

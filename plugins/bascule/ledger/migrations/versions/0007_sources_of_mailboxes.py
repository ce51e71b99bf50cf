"""From which server passes carry a mailbox: from new, once its account has moved there and goes back."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    with op.batch_alter_table("mailbox") as table:
        table.add_column(sa.Column("source", sa.String(length=8), nullable=False, server_default="old"))

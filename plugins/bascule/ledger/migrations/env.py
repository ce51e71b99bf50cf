"""Run by Alembic: the revisions go through the connection that `bascule.ledger.schema` hands over."""

from alembic import context
from bascule.ledger.schema import VERSION_TABLE

# SQLite changes no column in place: a revision that does so uses `op.batch_alter_table`.
context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE, render_as_batch=True)
context.run_migrations()

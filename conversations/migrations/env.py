"""What Alembic runs. The connection, already in a transaction, comes from conversations/database.py."""

from __future__ import annotations

from alembic import context

from conversations.tables import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()

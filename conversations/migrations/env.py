"""What Alembic runs. The connection, already in a transaction, comes from conversations/database.py, which has
turned SQLite's foreign keys off: a table made anew is dropped first, and would take along what refers to it."""

from __future__ import annotations

from alembic import context

from conversations.tables import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()

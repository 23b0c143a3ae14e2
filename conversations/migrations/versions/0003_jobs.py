"""Training jobs: what was ordered, and which process does it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("data", sa.String(16), nullable=False),
        sa.Column("frees_worker", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("device", sa.String(100), nullable=False, server_default=""),
        sa.Column("page", sa.String(32), nullable=False, server_default=""),
        sa.Column("pid", sa.Integer()),
        sa.Column("process_start", sa.String(100), nullable=False, server_default=""),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("queued_at", _TIME, nullable=False),
        sa.Column("started_at", _TIME),
        sa.Column("stop_asked_at", _TIME),
        sa.Column("signalled_at", _TIME),
        sa.Column("ended_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.CheckConstraint(
            "phase IN ('queued', 'running', 'stopping', 'stopped', 'done', 'failed')",
            name=op.f("ck_jobs_phase"),
        ),
        sa.CheckConstraint("data IN ('given', 'wanted', 'written')", name=op.f("ck_jobs_data")),
    )
    op.create_index("ix_jobs_created_at", "jobs", ["created_at"])
    running = sa.text("phase IN ('running', 'stopping')")
    op.create_index(
        "uq_jobs_running",
        "jobs",
        ["host", "device"],
        unique=True,
        sqlite_where=running,
        postgresql_where=running,
    )


def downgrade() -> None:
    raise NotImplementedError("there is no way back to tables without jobs; put a backup in their place")

"""Conversations, turns in a tree, answers, pictures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "conversations",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("system_prompt", sa.Text(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_conversations"),
    )
    op.create_index("ix_conversations_owner_updated_at", "conversations", ["owner", "updated_at"])
    op.create_table(
        "pictures",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_pictures"),
    )
    _create_turns()
    _create_answers()
    op.create_table(
        "turn_pictures",
        sa.Column("turn_id", _ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("turn_id", "position", name="pk_turn_pictures"),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turns.id"], name="fk_turn_pictures_turn_id_turns", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["sha256"], ["pictures.sha256"], name="fk_turn_pictures_sha256_pictures"),
    )
    op.create_index("ix_turn_pictures_sha256", "turn_pictures", ["sha256"])


def _create_turns() -> None:
    op.create_table(
        "turns",
        sa.Column("id", _ID, nullable=False, autoincrement=True),
        sa.Column("conversation_id", sa.String(32), nullable=False),
        sa.Column("parent_id", _ID),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("is_shown", sa.Boolean(), nullable=False),
        sa.Column("request_key", sa.String(100)),
        sa.Column("rating", sa.String(8)),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_turns"),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name="fk_turns_conversation_id_conversations",
            ondelete="CASCADE",
        ),
        # No cascade from parent to child: SQLite follows 1,000 levels. Turns go together.
        sa.ForeignKeyConstraint(["parent_id"], ["turns.id"], name="fk_turns_parent_id_turns"),
        sa.UniqueConstraint(
            "conversation_id", "role", "request_key", name="uq_turns_conversation_id_role_request_key"
        ),
        sa.CheckConstraint("role IN ('user', 'assistant')", name=op.f("ck_turns_role")),
        sa.CheckConstraint("rating IN ('up', 'down')", name=op.f("ck_turns_rating")),
    )
    op.create_index("ix_turns_conversation_id", "turns", ["conversation_id"])
    op.create_index("ix_turns_parent_id", "turns", ["parent_id"])


def _create_answers() -> None:
    op.create_table(
        "answers",
        sa.Column("turn_id", _ID, nullable=False),
        sa.Column("conversation_id", sa.String(32), nullable=False),
        sa.Column("page", sa.String(32), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("template", sa.String(100), nullable=False),
        sa.Column("system_prompt", sa.Text(), nullable=False),
        sa.Column("temperature", sa.Double(), nullable=False),
        sa.Column("top_p", sa.Double(), nullable=False),
        sa.Column("max_new_tokens", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger()),
        sa.Column("finish_reason", sa.String(16), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("num_prompt_tokens", sa.Integer()),
        sa.Column("num_completion_tokens", sa.Integer()),
        sa.Column("first_token_ms", sa.Double()),
        sa.Column("duration_ms", sa.Double()),
        sa.PrimaryKeyConstraint("turn_id", name="pk_answers"),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turns.id"], name="fk_answers_turn_id_turns", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name="fk_answers_conversation_id_conversations",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "finish_reason IN ('running', 'stop', 'length', 'stopped', 'failed', 'interrupted')",
            name=op.f("ck_answers_finish_reason"),
        ),
    )
    op.create_index(
        "uq_answers_running",
        "answers",
        ["conversation_id"],
        unique=True,
        sqlite_where=sa.text("finish_reason = 'running'"),
        postgresql_where=sa.text("finish_reason = 'running'"),
    )


def downgrade() -> None:
    for table in ("turn_pictures", "answers", "turns", "pictures", "conversations"):
        op.drop_table(table)

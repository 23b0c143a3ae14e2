"""Pins, archive, privacy and tags; ratings with reasons, corrections and review; the index of words; who did what.

Texts that are there already get their masks and their words here, in batches. That is the one place where a
migration uses the program's own functions: what they find may improve later, and a text is masked and indexed by
what the program knows when it does so.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
import sqlalchemy.orm
from alembic import op

from conversations.personal_data import masked_or_none
from conversations.search_index import put

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)
_BATCH = 2000
_SQLITE_WORDS = (
    """CREATE VIRTUAL TABLE turn_search USING fts5(words, tokenize = "ascii tokenchars '='", prefix = '2 3')""",
    """CREATE TRIGGER turn_search_goes_with_its_turn AFTER DELETE ON turns
       BEGIN DELETE FROM turn_search WHERE rowid = old.id; END""",
)
_POSTGRESQL_WORDS = (
    """CREATE TABLE turn_search (
           turn_id BIGINT NOT NULL CONSTRAINT pk_turn_search PRIMARY KEY
               CONSTRAINT fk_turn_search_turn_id_turns REFERENCES turns (id) ON DELETE CASCADE,
           words TSVECTOR NOT NULL)""",
    "CREATE INDEX ix_turn_search_words ON turn_search USING gin (words)",
)


def upgrade() -> None:
    with op.batch_alter_table("conversations") as table:
        for name in ("is_pinned", "is_archived", "is_private"):
            table.add_column(sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
        table.drop_index("ix_conversations_owner_updated_at")
    op.create_index(
        "ix_conversations_sidebar", "conversations", ["owner", "is_archived", "is_pinned", "updated_at"]
    )
    op.create_index("ix_conversations_created_at_id", "conversations", ["created_at", "id"])
    op.add_column("pictures", sa.Column("fingerprint", sa.String(160)))
    op.add_column("turns", sa.Column("masked_text", sa.Text()))
    _widen_answers()
    with op.batch_alter_table("turns") as table:
        table.drop_constraint(op.f("ck_turns_rating"), type_="check")
        table.drop_column("rating")
    _create_tags()
    _create_actions()
    sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in _SQLITE_WORDS if sqlite else _POSTGRESQL_WORDS:
        op.execute(statement)
    _read_texts()


def _widen_answers() -> None:
    with op.batch_alter_table("answers") as table:
        table.add_column(sa.Column("answered_at", _TIME))
        for name in ("has_picture", "is_private"):
            table.add_column(sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
        table.add_column(sa.Column("rating", sa.String(8)))
        table.add_column(sa.Column("reasons", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("note", sa.Text(), nullable=False, server_default=""))
        table.add_column(sa.Column("state", sa.String(16), nullable=False, server_default="pending"))
        table.add_column(sa.Column("correction", sa.Text()))
        table.add_column(sa.Column("masked_correction", sa.Text()))
        table.create_check_constraint(op.f("ck_answers_rating"), "rating IN ('up', 'down')")
        table.create_check_constraint(
            op.f("ck_answers_state"), "state IN ('pending', 'approved', 'rejected')"
        )
    of_its_turn = "(SELECT {0} FROM turns WHERE turns.id = answers.turn_id)"
    op.execute(
        f"UPDATE answers SET answered_at = {of_its_turn.format('created_at')},"
        f" rating = {of_its_turn.format('rating')}"
    )
    op.execute(
        "UPDATE answers SET has_picture = true WHERE turn_id IN ("
        "WITH RECURSIVE below(id) AS (SELECT turn_id FROM turn_pictures UNION"
        " SELECT turns.id FROM turns JOIN below ON turns.parent_id = below.id) SELECT id FROM below)"
    )
    with op.batch_alter_table("answers") as table:
        table.alter_column("answered_at", existing_type=_TIME, nullable=False)
    op.create_index("ix_answers_conversation_id", "answers", ["conversation_id"])
    op.create_index("ix_answers_newest", "answers", ["answered_at", "turn_id"])
    op.create_index("ix_answers_model", "answers", ["model", "answered_at", "turn_id"])
    for name, columns, where in (
        ("rating", ["rating"], "rating IS NOT NULL"),
        ("reasons", [], "reasons <> 0"),
        ("state", ["state"], "state <> 'pending'"),
        ("finish_reason", ["finish_reason"], "finish_reason <> 'stop'"),
        ("correction", [], "correction IS NOT NULL"),
    ):
        op.create_index(
            f"ix_answers_{name}",
            "answers",
            [*columns, "answered_at", "turn_id"],
            sqlite_where=sa.text(where),
            postgresql_where=sa.text(where),
        )


def _create_tags() -> None:
    for table, column, kind, referred in (
        ("conversation_tags", "conversation_id", sa.String(32), "conversations.id"),
        ("answer_tags", "turn_id", _ID, "answers.turn_id"),
    ):
        op.create_table(
            table,
            sa.Column(column, kind, nullable=False),
            sa.Column("tag", sa.String(60), nullable=False),
            sa.PrimaryKeyConstraint(column, "tag", name=f"pk_{table}"),
            sa.ForeignKeyConstraint(
                [column], [referred], name=f"fk_{table}_{column}_{referred.split('.')[0]}", ondelete="CASCADE"
            ),
        )
        op.create_index(f"ix_{table}_tag", table, ["tag", column])


def _create_actions() -> None:
    op.create_table(
        "actions",
        sa.Column("id", _ID, nullable=False, autoincrement=True),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("num_answers", sa.Integer(), nullable=False),
        sa.Column("done_at", _TIME, nullable=False),
        sa.Column("undone_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_actions"),
    )
    op.create_index("ix_actions_actor", "actions", ["actor", "id"])
    op.create_table(
        "action_items",
        sa.Column("action_id", _ID, nullable=False),
        sa.Column("turn_id", _ID, nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("action_id", "turn_id", name="pk_action_items"),
        sa.ForeignKeyConstraint(
            ["action_id"], ["actions.id"], name="fk_action_items_action_id_actions", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["answers.turn_id"], name="fk_action_items_turn_id_answers", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_action_items_turn_id", "action_items", ["turn_id"])


def _read_texts() -> None:
    """Masks and words of every turn that is there."""
    session = sa.orm.Session(op.get_bind())
    mask = sa.text("UPDATE turns SET masked_text = :masked WHERE id = :id")
    for batch in _batches(session):
        masks = [{"id": row.id, "masked": masked_or_none(row.text)} for row in batch]
        masks = [values for values in masks if values["masked"] is not None]
        if masks:
            session.execute(mask, masks)
        put(session, [(row.id, row.owner, "" if row.parent_id else row.title, row.text) for row in batch])
    session.flush()


def _batches(session: sa.orm.Session) -> Iterator[list[sa.Row]]:
    query = sa.text(
        "SELECT turns.id, turns.parent_id, turns.text, conversations.owner, conversations.title"
        " FROM turns JOIN conversations ON conversations.id = turns.conversation_id"
        " WHERE turns.id > :after ORDER BY turns.id LIMIT :limit"
    )
    after = 0
    while batch := list(session.execute(query, {"after": after, "limit": _BATCH})):
        yield batch
        after = batch[-1].id


def downgrade() -> None:
    raise NotImplementedError(
        "there is no way back to tables without corrections; put a backup in their place"
    )

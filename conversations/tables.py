"""The tables, for SQLite and PostgreSQL alike. Their history is in migrations/; change both together.

A turn belongs to a conversation and has a parent; exactly one turn among those under the same parent is the
shown one. What an answer was asked with, how it ended and what people made of it stands in `answers`, so that
`turns` stays narrow for reading. Words are found in `turn_search`, which is no table of SQLAlchemy's
(conversations/search_index.py).

What an export needs is computed when it is written, not when it is exported: `masked_text` is the text without
personal data, and null where it has none.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

Id = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite numbers rows by itself only in an INTEGER column."""


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC. SQLite keeps no time zone, so it is taken off on the way in and put back on the way
    out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"the time {value} has no time zone; the log keeps UTC only")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Constraints get names by rule, so that a later migration can drop them on either database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class ConversationRow(Base):
    """`title` is empty until the first question is there."""

    __tablename__ = "conversations"
    __table_args__ = (
        Index("ix_conversations_sidebar", "owner", "is_archived", "is_pinned", "updated_at"),
        Index("ix_conversations_created_at_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(200))
    title: Mapped[str] = mapped_column(String(200))
    system_prompt: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    is_pinned: Mapped[bool] = mapped_column(default=False, server_default=false())
    is_archived: Mapped[bool] = mapped_column(default=False, server_default=false())
    is_private: Mapped[bool] = mapped_column(default=False, server_default=false())


class PictureRow(Base):
    """A stored picture that some turn uses; the file is the image store's. `fingerprint` tells pictures apart
    that look different (conversations/fingerprint.py); null until it was computed."""

    __tablename__ = "pictures"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    width: Mapped[int]
    height: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    fingerprint: Mapped[str | None] = mapped_column(String(160))


class TurnPictureRow(Base):
    """Which pictures a turn has, in order."""

    __tablename__ = "turn_pictures"

    turn_id: Mapped[int] = mapped_column(Id, ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), ForeignKey("pictures.sha256"), index=True)
    picture: Mapped[PictureRow] = relationship(lazy="joined", innerjoin=True)


class TurnRow(Base):
    """A question or an answer. `request_key` makes sending twice harmless."""

    __tablename__ = "turns"
    __table_args__ = (
        CheckConstraint("role IN ('user', 'assistant')", name="role"),
        UniqueConstraint("conversation_id", "role", "request_key"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    conversation_id: Mapped[str] = mapped_column(
        String(32), ForeignKey("conversations.id", ondelete="CASCADE"), index=True
    )
    parent_id: Mapped[int | None] = mapped_column(Id, ForeignKey("turns.id"), index=True)
    role: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(Text)
    is_shown: Mapped[bool]
    request_key: Mapped[str | None] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    masked_text: Mapped[str | None] = mapped_column(Text)

    answer: Mapped[AnswerRow | None] = relationship(lazy="joined")
    pictures: Mapped[list[TurnPictureRow]] = relationship(lazy="selectin", order_by=TurnPictureRow.position)


class AnswerRow(Base):
    """What an answer was asked with, how it ended, and what people made of it. `page` is the process that is
    streaming it.

    `conversation_id` is repeated here for the partial unique index: the database itself allows one running
    answer a conversation, whatever number of threads and processes write. `answered_at` (the turn's
    `created_at`), `has_picture` (in this turn's question or above it) and `is_private` (the conversation's) are
    repeated so that a page of the library is read off one index, newest first; what is rare has an index of its
    own, which holds only that. `reasons` is a sum of the bits in conversations/feedback.py.
    """

    __tablename__ = "answers"
    __table_args__ = (
        Index(
            "uq_answers_running",
            "conversation_id",
            unique=True,
            sqlite_where=text("finish_reason = 'running'"),
            postgresql_where=text("finish_reason = 'running'"),
        ),
        CheckConstraint(
            "finish_reason IN ('running', 'stop', 'length', 'stopped', 'failed', 'interrupted')",
            name="finish_reason",
        ),
        CheckConstraint("rating IN ('up', 'down')", name="rating"),
        CheckConstraint("state IN ('pending', 'approved', 'rejected')", name="state"),
        Index("ix_answers_conversation_id", "conversation_id"),
        Index("ix_answers_newest", "answered_at", "turn_id"),
        Index("ix_answers_model", "model", "answered_at", "turn_id"),
        *(
            Index(
                f"ix_answers_{name}",
                *columns,
                "answered_at",
                "turn_id",
                sqlite_where=text(where),
                postgresql_where=text(where),
            )
            for name, columns, where in (
                ("rating", ("rating",), "rating IS NOT NULL"),
                ("reasons", (), "reasons <> 0"),
                ("state", ("state",), "state <> 'pending'"),
                ("finish_reason", ("finish_reason",), "finish_reason <> 'stop'"),
                ("correction", (), "correction IS NOT NULL"),
            )
        ),
    )

    turn_id: Mapped[int] = mapped_column(Id, ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True)
    conversation_id: Mapped[str] = mapped_column(
        String(32), ForeignKey("conversations.id", ondelete="CASCADE")
    )
    page: Mapped[str] = mapped_column(String(32))
    model: Mapped[str] = mapped_column(Text)
    template: Mapped[str] = mapped_column(String(100))
    system_prompt: Mapped[str] = mapped_column(Text)
    temperature: Mapped[float]
    top_p: Mapped[float]
    max_new_tokens: Mapped[int]
    seed: Mapped[int | None] = mapped_column(BigInteger)
    finish_reason: Mapped[str] = mapped_column(String(16))
    error: Mapped[str | None] = mapped_column(Text)
    num_prompt_tokens: Mapped[int | None]
    num_completion_tokens: Mapped[int | None]
    first_token_ms: Mapped[float | None]
    duration_ms: Mapped[float | None]
    answered_at: Mapped[datetime] = mapped_column(UtcDateTime)
    has_picture: Mapped[bool] = mapped_column(default=False, server_default=false())
    is_private: Mapped[bool] = mapped_column(default=False, server_default=false())
    rating: Mapped[str | None] = mapped_column(String(8))
    reasons: Mapped[int] = mapped_column(default=0, server_default="0")
    note: Mapped[str] = mapped_column(Text, default="", server_default="")
    state: Mapped[str] = mapped_column(String(16), default="pending", server_default="pending")
    correction: Mapped[str | None] = mapped_column(Text)
    masked_correction: Mapped[str | None] = mapped_column(Text)


class ConversationTagRow(Base):
    """A person's own tags on a conversation."""

    __tablename__ = "conversation_tags"
    __table_args__ = (Index("ix_conversation_tags_tag", "tag", "conversation_id"),)

    conversation_id: Mapped[str] = mapped_column(
        String(32), ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True
    )
    tag: Mapped[str] = mapped_column(String(60), primary_key=True)


class AnswerTagRow(Base):
    """A reviewer's tags on an answer."""

    __tablename__ = "answer_tags"
    __table_args__ = (Index("ix_answer_tags_tag", "tag", "turn_id"),)

    turn_id: Mapped[int] = mapped_column(
        Id, ForeignKey("answers.turn_id", ondelete="CASCADE"), primary_key=True
    )
    tag: Mapped[str] = mapped_column(String(60), primary_key=True)


class ActionRow(Base):
    """Who did what, and when. `value` is what was set, `about` what it was done to, as JSON. It stays when the
    answers are deleted, without their texts."""

    __tablename__ = "actions"
    __table_args__ = (Index("ix_actions_actor", "actor", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    actor: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(20))
    value: Mapped[str] = mapped_column(Text)
    about: Mapped[str] = mapped_column(Text)
    num_answers: Mapped[int]
    done_at: Mapped[datetime] = mapped_column(UtcDateTime)
    undone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ActionItemRow(Base):
    """One answer that an action changed: what it had before and after, as JSON, for taking it back."""

    __tablename__ = "action_items"
    __table_args__ = (Index("ix_action_items_turn_id", "turn_id"),)

    action_id: Mapped[int] = mapped_column(
        Id, ForeignKey("actions.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    turn_id: Mapped[int] = mapped_column(
        Id, ForeignKey("answers.turn_id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    before: Mapped[str] = mapped_column(Text)
    after: Mapped[str] = mapped_column(Text)


class JobRow(Base):
    """A training job: what was ordered, how it stands, and which process does it. `config` is JSON that only the page
    understands. `page` is the page that looks after it: that writes its data, or started its process or took it over.

    The unique index is the queue's rule: whatever number of pages start jobs, a device of a host has one.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(
            "phase IN ('queued', 'running', 'stopping', 'stopped', 'done', 'failed')", name="phase"
        ),
        CheckConstraint("data IN ('given', 'wanted', 'written')", name="data"),
        Index("ix_jobs_created_at", "created_at"),
        Index(
            "uq_jobs_running",
            "host",
            "device",
            unique=True,
            sqlite_where=text("phase IN ('running', 'stopping')"),
            postgresql_where=text("phase IN ('running', 'stopping')"),
        ),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    actor: Mapped[str] = mapped_column(String(200))
    phase: Mapped[str] = mapped_column(String(16))
    words: Mapped[str] = mapped_column(Text)
    config: Mapped[str] = mapped_column(Text)
    data: Mapped[str] = mapped_column(String(16))
    frees_worker: Mapped[bool] = mapped_column(default=False, server_default=false())
    host: Mapped[str] = mapped_column(String(255))
    device: Mapped[str] = mapped_column(String(100), default="", server_default="")
    page: Mapped[str] = mapped_column(String(32), default="", server_default="")
    pid: Mapped[int | None]
    process_start: Mapped[str] = mapped_column(String(100), default="", server_default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    queued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stop_asked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    signalled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

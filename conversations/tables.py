"""The tables, for SQLite and PostgreSQL alike. Their history is in migrations/; change both together.

A turn belongs to a conversation and has a parent; exactly one turn among those under the same parent is the
shown one. What an answer was asked with and how it ended stands in `answers`, so that `turns` stays narrow
for reading and search.
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
    __table_args__ = (Index("ix_conversations_owner_updated_at", "owner", "updated_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(200))
    title: Mapped[str] = mapped_column(String(200))
    system_prompt: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PictureRow(Base):
    """A stored picture that some turn uses; the file is the image store's."""

    __tablename__ = "pictures"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    width: Mapped[int]
    height: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


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
        CheckConstraint("rating IN ('up', 'down')", name="rating"),
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
    rating: Mapped[str | None] = mapped_column(String(8))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    answer: Mapped[AnswerRow | None] = relationship(lazy="joined")
    pictures: Mapped[list[TurnPictureRow]] = relationship(lazy="selectin", order_by=TurnPictureRow.position)


class AnswerRow(Base):
    """What an answer was asked with and how it ended. `page` is the process that is streaming it.

    `conversation_id` is repeated here for the partial unique index: the database itself allows one running
    answer a conversation, whatever number of threads and processes write.
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

"""A person's own order among their conversations: pinned, archived, private, tagged."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from conversations import search as searching
from conversations.actions import record
from conversations.database import Database
from conversations.errors import InvalidText
from conversations.log_text import can_be_kept, checked_text
from conversations.lookup import conversation_row
from conversations.tables import AnswerRow, ConversationRow, ConversationTagRow
from conversations.turns import ConversationSummary

MAX_TAG_LENGTH = 60
MAX_TAGS = 30


def checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags as they are kept: on one line each, every one once, sorted. Raises InvalidText."""
    kept = sorted({" ".join(checked_text(tag, "The tag").split()) for tag in tags})
    for tag in kept:
        if not 1 <= len(tag) <= MAX_TAG_LENGTH:
            raise InvalidText(f"A tag has 1 to {MAX_TAG_LENGTH} characters; {tag[:70]!r} has {len(tag)}.")
    if len(kept) > MAX_TAGS:
        raise InvalidText(f"There may be {MAX_TAGS} tags on one thing; these are {len(kept)}.")
    return tuple(kept)


def set_tags(session: Session, conversation_id: str, tags: tuple[str, ...]) -> None:
    session.execute(delete(ConversationTagRow).where(ConversationTagRow.conversation_id == conversation_id))
    session.add_all(ConversationTagRow(conversation_id=conversation_id, tag=tag) for tag in tags)


def tags_of_owner(session: Session, owner: str) -> dict[str, int]:
    """How many of a person's conversations have each of their tags."""
    if not can_be_kept(owner):
        return {}
    query = (
        select(ConversationTagRow.tag, func.count())
        .join(ConversationRow, ConversationRow.id == ConversationTagRow.conversation_id)
        .where(ConversationRow.owner == owner)
        .group_by(ConversationTagRow.tag)
        .order_by(ConversationTagRow.tag)
    )
    return dict(session.execute(query).all())


def set_private(session: Session, conversation: ConversationRow, private: bool) -> None:
    """The answers carry it too, for the library's indexes."""
    conversation.is_private = private
    session.execute(
        update(AnswerRow).where(AnswerRow.conversation_id == conversation.id).values(is_private=private)
    )


class History:
    """The store's calls for it. Each names the owner and raises NotFound for another's conversation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pin(self, owner: str, conversation_id: str, pinned: bool) -> None:
        with self._database.writing() as session:
            conversation_row(session, owner, conversation_id).is_pinned = pinned

    def archive(self, owner: str, conversation_id: str, archived: bool) -> None:
        """Out of the sidebar, still in the library and in search over everything."""
        with self._database.writing() as session:
            conversation_row(session, owner, conversation_id).is_archived = archived

    def set_private(self, owner: str, conversation_id: str, private: bool) -> None:
        """Kept for the person and shown to nobody else; in no review and no export."""
        with self._database.writing() as session:
            row = conversation_row(session, owner, conversation_id, lock=True)
            set_private(session, row, private)
            record(session, owner, "private", private, {"conversation": conversation_id})

    def tag(self, owner: str, conversation_id: str, tags: Iterable[str]) -> tuple[str, ...]:
        """These tags and no others. Returns them as they are kept. Raises InvalidText."""
        kept = checked_tags(tags)
        with self._database.writing() as session:
            conversation_row(session, owner, conversation_id, lock=True)
            set_tags(session, conversation_id, kept)
        return kept

    def tags(self, owner: str) -> dict[str, int]:
        """The person's tags, in alphabetical order, and how many conversations have each."""
        with self._database.reading() as session:
            return tags_of_owner(session, owner)

    def recent(
        self,
        owner: str,
        search: str = "",
        limit: int = 50,
        offset: int = 0,
        *,
        archived: bool | None = False,
        tag: str | None = None,
    ) -> list[ConversationSummary]:
        """As ConversationStore.recent, also of the archived ones (None: archived or not) and of a tag's."""
        with self._database.reading() as session:
            return searching.recent(session, owner, search, limit, offset, archived=archived, tag=tag)

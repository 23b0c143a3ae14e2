"""The sidebar's list: a person's conversations, newest first, narrowed by words in their titles and texts."""

from __future__ import annotations

from sqlalchemy import and_, exists, or_, select
from sqlalchemy.orm import Session

from conversations.log_text import can_be_kept
from conversations.tables import ConversationRow, TurnRow
from conversations.turns import ConversationSummary

MAX_SEARCH_LENGTH = 200


def recent(session: Session, owner: str, words: str, limit: int, offset: int) -> list[ConversationSummary]:
    """Conversations in which every word occurs, in the title or in a turn. Nothing is that long or
    unprintable that it could be searched for beyond `MAX_SEARCH_LENGTH` characters: such a search finds
    nothing."""
    if len(words) > MAX_SEARCH_LENGTH or not (can_be_kept(words) and can_be_kept(owner)):
        return []
    found = [
        or_(
            ConversationRow.title.icontains(word, autoescape=True),
            exists().where(
                and_(
                    TurnRow.conversation_id == ConversationRow.id,
                    TurnRow.text.icontains(word, autoescape=True),
                )
            ),
        )
        for word in words.split()
    ]
    query = (
        select(ConversationRow.id, ConversationRow.title, ConversationRow.updated_at)
        .where(ConversationRow.owner == owner, ConversationRow.title != "", *found)
        .order_by(ConversationRow.updated_at.desc(), ConversationRow.id)
        .limit(max(0, limit))
        .offset(max(0, offset))
    )
    return [ConversationSummary(*row) for row in session.execute(query)]

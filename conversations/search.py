"""The sidebar's list: a person's conversations, newest first, narrowed by words in their titles and texts."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from conversations.log_text import can_be_kept
from conversations.tables import ConversationRow, TurnRow
from conversations.turns import ConversationSummary

MAX_SEARCH_LENGTH = 200
_MAX_ROWS = 2**31 - 1


def recent(session: Session, owner: str, words: str, limit: int, offset: int) -> list[ConversationSummary]:
    """Conversations in which every word occurs, in the title or in a turn. Nothing is that long or
    unprintable that it could be searched for beyond `MAX_SEARCH_LENGTH` characters: such a search finds
    nothing."""
    if len(words) > MAX_SEARCH_LENGTH or not (can_be_kept(words) and can_be_kept(owner)):
        return []
    found = [
        or_(
            _occurs(session, word, ConversationRow.title),
            exists().where(
                and_(TurnRow.conversation_id == ConversationRow.id, _occurs(session, word, TurnRow.text))
            ),
        )
        for word in words.split()
    ]
    query = (
        select(ConversationRow.id, ConversationRow.title, ConversationRow.updated_at)
        .where(ConversationRow.owner == owner, ConversationRow.title != "", *found)
        .order_by(ConversationRow.updated_at.desc(), ConversationRow.id)
        .limit(min(max(0, limit), _MAX_ROWS))
        .offset(min(max(0, offset), _MAX_ROWS))
    )
    return [ConversationSummary(*row) for row in session.execute(query)]


def _occurs(session: Session, word: str, column: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Upper and lower case are one. SQLite's own functions know that of ASCII only; `casefold` is given to
    every connection in conversations/database.py."""
    if session.get_bind().dialect.name == "sqlite":
        return func.instr(func.casefold(column), word.casefold()) > 0
    return column.icontains(word, autoescape=True)

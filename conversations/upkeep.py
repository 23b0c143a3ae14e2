"""What nobody will miss: conversations that were begun and never asked anything."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from conversations.tables import ConversationRow, TurnRow


def remove_empty(session: Session, before: datetime) -> None:
    """Remove the conversations, made before this time, that no question ever came to."""
    empty = ~exists().where(TurnRow.conversation_id == ConversationRow.id)
    query = select(ConversationRow.id).where(ConversationRow.created_at < before, empty)
    for conversation_id in session.scalars(query.with_for_update()).all():
        # Asked again, now that the row is locked: a question may have come while we waited for the lock.
        session.execute(delete(ConversationRow).where(ConversationRow.id == conversation_id, empty))

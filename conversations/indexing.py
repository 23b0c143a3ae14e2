"""What is computed when a text is stored, so that neither search nor export has to: its words and its mask."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from conversations import search_index
from conversations.personal_data import masked_or_none
from conversations.tables import ConversationRow, TurnRow


def index(session: Session, conversation: ConversationRow, turns: Iterable[TurnRow]) -> None:
    """Of turns that have their ids and final texts. An answer is found by its correction, too."""
    entries = []
    for turn in turns:
        turn.masked_text = masked_or_none(turn.text)
        title = conversation.title if turn.parent_id is None else ""
        correction = turn.answer.correction if turn.answer is not None else None
        words = turn.text if correction is None else f"{turn.text}\n{correction}"
        entries.append((turn.id, conversation.owner, title, words))
    search_index.put(session, entries)


def index_title(session: Session, conversation: ConversationRow) -> None:
    """The title stands with the first questions."""
    roots = select(TurnRow).where(TurnRow.conversation_id == conversation.id, TurnRow.parent_id.is_(None))
    index(session, conversation, session.scalars(roots))

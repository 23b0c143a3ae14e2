"""The rows that an owner may touch. Everything that a person asks for by id is found here and nowhere
else."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from conversations.errors import NotFound
from conversations.log_text import can_be_kept
from conversations.tables import ConversationRow, TurnRow


def conversation_row(
    session: Session, owner: str, conversation_id: str, *, lock: bool = False
) -> ConversationRow:
    """The owner's conversation; `lock` makes writers to it wait for each other on PostgreSQL (SQLite has one
    writer)."""
    query = select(ConversationRow).where(
        ConversationRow.id == conversation_id, ConversationRow.owner == owner
    )
    known = can_be_kept(owner) and can_be_kept(conversation_id)
    row = session.scalar(query.with_for_update() if lock else query) if known else None
    if row is None:
        raise NotFound(
            f"There is no conversation {conversation_id!r} here; it was deleted, or it is not yours."
        )
    return row


def turn_row(session: Session, owner: str, turn_id: int) -> TurnRow:
    query = (
        select(TurnRow)
        .join(ConversationRow, ConversationRow.id == TurnRow.conversation_id)
        .where(TurnRow.id == turn_id, ConversationRow.owner == owner)
    )
    known = can_be_kept(owner) and isinstance(turn_id, int) and 0 < turn_id < 2**63
    row = session.scalar(query) if known else None
    if row is None:
        raise NotFound(f"There is no turn {turn_id!r} here; it was deleted, or it is not yours.")
    return row


def check_parent(session: Session, owner: str, conversation_id: str, parent_id: int | None) -> None:
    """A question stands at the root or under an answer of its own conversation. Raises NotFound."""
    if parent_id is None:
        return
    parent = turn_row(session, owner, parent_id)
    if parent.conversation_id != conversation_id:
        raise NotFound(f"The turn {parent_id} is not in this conversation; load it again.")
    if parent.role != "assistant":
        raise NotFound(f"The turn {parent_id} is a question; a question follows an answer, or begins.")


def sent_before(session: Session, conversation_id: str, request_key: str | None) -> TurnRow | None:
    if request_key is None:
        return None
    query = select(TurnRow).where(
        TurnRow.conversation_id == conversation_id, TurnRow.role == "user", TurnRow.request_key == request_key
    )
    return session.scalar(query)

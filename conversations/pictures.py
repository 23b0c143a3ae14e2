"""Which pictures the turns use. Files come and go only inside a transaction that writes, so that no turn can come to
use a picture in the moment in which it is removed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from conversations.image_store import ImageStore
from conversations.messages import ImageRef
from conversations.tables import ConversationRow, PictureRow, TurnPictureRow, TurnRow


def attach(session: Session, images: ImageStore, turn: TurnRow, refs: Sequence[ImageRef], now: datetime) -> None:
    """Give a turn its pictures, in order. Raises PictureMissing if one is not stored."""
    for position, ref in enumerate(refs):
        images.path(ref.sha256)
        picture = session.get(PictureRow, ref.sha256)
        if picture is None:
            width, height = images.size(ref.sha256)
            picture = PictureRow(sha256=ref.sha256, width=width, height=height, created_at=now)
            session.add(picture)
        turn.pictures.append(TurnPictureRow(position=position, sha256=ref.sha256, picture=picture))


def allowed(session: Session, owner: str, sha256: str) -> bool:
    """Whether the picture stands in one of the owner's conversations."""
    query = exists().where(
        TurnPictureRow.sha256 == sha256,
        TurnPictureRow.turn_id == TurnRow.id,
        TurnRow.conversation_id == ConversationRow.id,
        ConversationRow.owner == owner,
    )
    return bool(session.scalar(select(query)))


def used_in(session: Session, conversation_id: str) -> list[str]:
    """The SHA-256 of every picture in a conversation."""
    query = (
        select(TurnPictureRow.sha256)
        .join(TurnRow, TurnRow.id == TurnPictureRow.turn_id)
        .where(TurnRow.conversation_id == conversation_id)
        .distinct()
    )
    return list(session.scalars(query))


def remove_unused(session: Session, images: ImageStore, candidates: Sequence[str] | None = None) -> None:
    """Remove the pictures, among the candidates or all, that no turn uses any more: first the row, then the file."""
    unused = ~exists().where(TurnPictureRow.sha256 == PictureRow.sha256)
    query = select(PictureRow.sha256).where(unused)
    if candidates is not None:
        query = query.where(PictureRow.sha256.in_(candidates))
    for sha256 in session.scalars(query).all():
        session.execute(delete(PictureRow).where(PictureRow.sha256 == sha256))
        images.remove(sha256)

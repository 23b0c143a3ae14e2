"""Which pictures the turns use. Files come and go only inside a transaction that writes, so that no turn can
come to use a picture in the moment in which it is removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from sqlalchemy import delete, exists, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from conversations.errors import PictureMissing
from conversations.image_store import ImageStore
from conversations.log_text import can_be_kept
from conversations.messages import ImageRef
from conversations.tables import ConversationRow, PictureRow, TurnPictureRow, TurnRow

UNSEEN = select(PictureRow.sha256).where(PictureRow.fingerprint.is_(None)).order_by(PictureRow.sha256)
"""Pictures of which nobody knows what they look like."""


def attach(
    session: Session,
    images: ImageStore,
    turn: TurnRow,
    refs: Sequence[ImageRef],
    looks: Mapping[str, str],
    now: datetime,
) -> None:
    """Give a turn its pictures, in order. `looks` are their fingerprints. Raises PictureMissing if one is not
    stored."""
    for position, ref in enumerate(refs):
        claim(session, images, ref.sha256, looks.get(ref.sha256), now)
        picture = session.get_one(PictureRow, ref.sha256)
        turn.pictures.append(TurnPictureRow(position=position, sha256=ref.sha256, picture=picture))


def looks_of(images: ImageStore, refs: Iterable[ImageRef]) -> dict[str, str]:
    """The fingerprints of the pictures that are there. They take a decoder's time, and no lock should be held
    meanwhile; what is missing is told when it is attached."""
    looks = {}
    for sha256 in {ref.sha256 for ref in refs}:
        with suppress(PictureMissing):
            looks[sha256] = images.fingerprint(sha256)
    return looks


def note_looks(session: Session, looks: Mapping[str, str]) -> None:
    for sha256, look in looks.items():
        session.execute(update(PictureRow).where(PictureRow.sha256 == sha256).values(fingerprint=look))


def claim(session: Session, images: ImageStore, sha256: str, look: str | None, now: datetime) -> None:
    """Have the row, and have it locked until the transaction ends, whoever else adds or removes it just
    now. Raises PictureMissing."""
    width, height = images.size(sha256)
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    session.execute(
        insert(PictureRow)
        .values(sha256=sha256, width=width, height=height, created_at=now, fingerprint=look)
        .on_conflict_do_update(
            index_elements=["sha256"], set_={"width": width, "height": height, "fingerprint": look}
        )
    )
    images.path(sha256)  # again, now that the row is claimed: it may have been removed while we waited for it


def allowed(session: Session, owner: str, sha256: str) -> bool:
    """Whether the picture stands in one of the owner's conversations."""
    query = exists().where(
        TurnPictureRow.sha256 == sha256,
        TurnPictureRow.turn_id == TurnRow.id,
        TurnRow.conversation_id == ConversationRow.id,
        ConversationRow.owner == owner,
    )
    return can_be_kept(owner) and can_be_kept(sha256) and bool(session.scalar(select(query)))


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
    """Remove the pictures, among the candidates or all, that no turn uses any more: first the row, then the
    file."""
    unused = ~exists().where(TurnPictureRow.sha256 == PictureRow.sha256)
    query = select(PictureRow.sha256).where(unused)
    if candidates is not None:
        query = query.where(PictureRow.sha256.in_(candidates))
    for sha256 in session.scalars(query.with_for_update()).all():
        gone = delete(PictureRow).where(PictureRow.sha256 == sha256, unused).returning(PictureRow.sha256)
        if session.scalar(gone) is not None and not images.is_draft(sha256):
            images.remove(sha256)


def remove_drafts(session: Session, images: ImageStore, older_than_seconds: float) -> None:
    """Remove the pictures that were added long ago and never sent."""
    for sha256 in images.drafts(older_than_seconds):
        if session.get(PictureRow, sha256) is None:
            images.remove(sha256)
        else:
            images.settle(sha256)

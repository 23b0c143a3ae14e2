"""Conversations that leave the log one by one and come back: as JSON with everything in it, or as Markdown to read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import select

from conversations import pictures
from conversations.actions import record
from conversations.conversation_json import Pictures, parsed, written
from conversations.conversation_markdown import zipped
from conversations.database import Database
from conversations.errors import InvalidText, PictureMissing
from conversations.image_store import ImageStore
from conversations.insertion import insert_whole
from conversations.log_text import checked_text
from conversations.lookup import conversation_row
from conversations.page_lease import PageLease
from conversations.review import tags_on
from conversations.search import tags_of
from conversations.tables import TurnRow
from conversations.tree import all_turns, shown_path
from conversations.whole import UNKNOWN_ANSWER, WholeConversation, WholeTurn

MAX_OWNER_LENGTH = 200


class Exchange:
    """The store's calls for it. Each names the owner and raises NotFound for another's conversation."""

    def __init__(self, database: Database, images: ImageStore, lease: PageLease) -> None:
        self._database = database
        self._images = images
        self._lease = lease

    def whole(self, owner: str, conversation_id: str) -> WholeConversation:
        """A conversation with all its versions."""
        with self._database.reading() as session:
            row = conversation_row(session, owner, conversation_id)
            turns = session.scalars(select(TurnRow).where(TurnRow.conversation_id == conversation_id))
            rows = sorted(turns, key=lambda turn: turn.id)
            tags = tags_on(session, [turn.id for turn in rows if turn.role == "assistant"])
            places = {turn.id: place for place, turn in enumerate(rows)}
            return WholeConversation(
                turns=tuple(
                    WholeTurn(
                        parent=None if turn.parent_id is None else places[turn.parent_id],
                        role=turn.role,
                        text=turn.text,
                        images=turn.images,
                        created_at=turn.created_at,
                        is_shown=shown,
                        answer=turn.answer or UNKNOWN_ANSWER,
                        rating=turn.rating,
                        reasons=turn.reasons,
                        note=turn.note,
                        correction=turn.correction,
                        state=turn.state or "pending",
                        tags=tags[turn.id],
                    )
                    for turn, shown in all_turns(rows)
                ),
                title=row.title,
                system_prompt=row.system_prompt,
                created_at=row.created_at,
                tags=tags_of(session, [row.id]).get(row.id, ()),
                is_pinned=row.is_pinned,
                is_archived=row.is_archived,
                is_private=row.is_private,
            )

    def json(self, owner: str, conversation_id: str) -> bytes:
        """What `read_json` takes: all versions, and the pictures with it. A picture whose file is gone is left out,
        and said to be. Raises NotFound."""
        whole = self.whole(owner, conversation_id)
        refs = {ref.sha256 for turn in whole.turns for ref in turn.images}
        return written(whole, self._files(refs))

    def markdown(self, owner: str, conversation_id: str) -> bytes:
        """A zip of `conversation.md` (the shown branch) and its pictures in `images/`. Raises NotFound."""
        with self._database.reading() as session:
            title = conversation_row(session, owner, conversation_id).title
            turns = shown_path(
                session.scalars(select(TurnRow).where(TurnRow.conversation_id == conversation_id))
            )
        return zipped(title, turns, self._files({ref.sha256 for turn in turns for ref in turn.images}))

    def read_json(self, owner: str, data: bytes) -> str:
        """Keep a conversation that `json` gave, or somebody made up, as a new one; its id. Its pictures go through
        the same door as any other. Raises InvalidImport, which names the record and the field."""
        whole, files = parsed(data)
        stored = {name: files.stored(name, self._images) for name in files.files}
        turns = tuple(
            replace(turn, images=tuple(stored[image.sha256] for image in turn.images)) for turn in whole.turns
        )
        return self.add(owner, [replace(whole, turns=turns)])[0]

    def add(self, owner: str, conversations: Iterable[WholeConversation]) -> list[str]:
        """Keep conversations from elsewhere, all of them or none; their ids, in order. Pictures come from
        `images.add`. Raises InvalidImport, InvalidText, PictureMissing."""
        wholes = list(conversations)
        if not owner or len(checked_text(owner, "The owner")) > MAX_OWNER_LENGTH:
            raise InvalidText(f"An owner's name has 1 to {MAX_OWNER_LENGTH} characters.")
        refs = {ref.sha256: ref for whole in wholes for turn in whole.turns for ref in turn.images}
        looks = pictures.looks_of(self._images, refs.values())
        now = datetime.now(UTC)
        with self._database.writing() as session:
            for sha256 in sorted(refs):  # in one order, so that two imports cannot wait for each other
                pictures.claim(session, self._images, sha256, looks.get(sha256), now)
            ids = insert_whole(session, owner, wholes, self._lease.page_id, now)
            record(session, owner, "import", len(ids), {"conversation": ids[0]} if len(ids) == 1 else {})
        for sha256 in refs:
            self._images.settle(sha256)
        return ids

    def _files(self, sha256s: Iterable[str]) -> Pictures:
        found: dict[str, bytes] = {}
        for sha256 in sorted(sha256s):
            try:
                found[sha256] = self._images.path(sha256).read_bytes()
            except (PictureMissing, FileNotFoundError):
                continue
        return Pictures(found)

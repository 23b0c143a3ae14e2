"""What a reviewer does to answers, one or a whole filtered set, and how it is taken back.

Large sets are changed in batches, each in a transaction of its own, so that nobody who chats waits for long. All
batches are one action, which is taken back as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, get_args

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from conversations import feedback, pictures, review
from conversations.actions import Action, action_of, add_items, record, trail
from conversations.changes import change, restored
from conversations.database import Database
from conversations.duplicates import DuplicateGroup, groups
from conversations.errors import NotFound
from conversations.filters import Filters, ReviewState
from conversations.history import checked_tags
from conversations.image_store import ImageStore
from conversations.messages import ImageRef
from conversations.review import MAX_COUNT, Count, Item, Place
from conversations.shelf import conditions, newest_first
from conversations.tables import ActionItemRow, ActionRow, AnswerRow, AnswerTagRow, TurnRow
from conversations.turns import Rating

BATCH = 2000
"""Answers changed in one transaction."""

MAX_UNSEEN = 2000
"""Pictures that are looked at for near-duplicates in one go; each takes a decoder some milliseconds."""

MAX_TAGS_LISTED = 1000


class Curation:
    """The store's calls for it. `actor` is who does it, for the trail. Whether they may is the caller's to know: with
    an `owner` (here, or in the filters) only that person's answers are seen and changed, else everybody's, without
    the private ones."""

    def __init__(self, database: Database, images: ImageStore) -> None:
        self._database = database
        self._images = images

    # -- reading ---------------------------------------------------------------------------------------------

    def page(self, filters: Filters, after: Place | None = None, limit: int = 50) -> list[Item]:
        """The next answers that are meant below `after` (None: from the top), newest first, at most 200."""
        with self._database.reading() as session:
            return review.page(session, filters, after, limit)

    def count(self, filters: Filters, cap: int = MAX_COUNT) -> Count:
        with self._database.reading() as session:
            return review.count(session, filters, cap)

    def item(self, turn_id: int, *, owner: str | None = None) -> Item:
        """Raises NotFound."""
        with self._database.reading() as session:
            return review.item(session, turn_id, owner)

    def models(self) -> list[str]:
        """Every model that has answered, for the filter. One look into the index a model."""
        with self._database.reading() as session:
            models: list[str] = []
            query = select(AnswerRow.model).order_by(AnswerRow.model).limit(1)
            while (
                found := session.scalar(query.where(AnswerRow.model > models[-1]) if models else query)
            ) is not None:
                models.append(found)
            return models

    def tags(self) -> list[str]:
        """Every tag on an answer, the first MAX_TAGS_LISTED: they may come with imported conversations."""
        query = select(AnswerTagRow.tag).distinct().order_by(AnswerTagRow.tag)
        with self._database.reading() as session:
            return list(session.scalars(query.limit(MAX_TAGS_LISTED)))

    def trail(
        self, *, turn_id: int | None = None, before: int | None = None, limit: int = 50
    ) -> list[Action]:
        """Who did what and when, newest first; of one answer, if it is named."""
        with self._database.reading() as session:
            return trail(session, turn_id=turn_id, before=before, limit=limit)

    # -- one answer ------------------------------------------------------------------------------------------

    def set_state(self, actor: str, turn_id: int, state: ReviewState, *, owner: str | None = None) -> Action:
        """Approve, reject, or leave open again. Raises NotFound."""
        return self._one(actor, turn_id, owner, "state", _checked_state(state))

    def tag(self, actor: str, turn_id: int, tags: Iterable[str], *, owner: str | None = None) -> Action:
        """These tags and no others. Raises NotFound, InvalidText."""
        return self._one(actor, turn_id, owner, "tags", list(checked_tags(tags)))

    def correct(self, actor: str, turn_id: int, text: str | None, *, owner: str | None = None) -> Action:
        """Raises NotFound, InvalidText."""
        with self._database.writing() as session:
            row = _row(session, turn_id, owner)
            feedback.correct(session, actor, row, text)
            return _last_of(session, actor, "correct")

    def rate(
        self,
        actor: str,
        turn_id: int,
        rating: Rating | None,
        *,
        reasons: Iterable[str] = (),
        note: str = "",
        owner: str | None = None,
    ) -> Action:
        """Raises NotFound, ValueError, InvalidText."""
        with self._database.writing() as session:
            feedback.rate(session, actor, _row(session, turn_id, owner), rating, reasons, note)
            return _last_of(session, actor, "rate")

    # -- many answers ----------------------------------------------------------------------------------------

    def set_states(self, actor: str, filters: Filters, state: ReviewState) -> Action:
        """All that are meant."""
        return self._many(actor, filters, "state", _checked_state(state))

    def add_tag(self, actor: str, filters: Filters, tag: str) -> Action:
        """Raises InvalidText."""
        return self._many(actor, filters, "tag", checked_tags([tag])[0])

    def remove_tag(self, actor: str, filters: Filters, tag: str) -> Action:
        return self._many(actor, filters, "untag", checked_tags([tag])[0])

    def keep_one(
        self, actor: str, turn_ids: Sequence[int], kept_id: int, *, owner: str | None = None
    ) -> Action:
        """Of near-duplicates reject all but one. Raises NotFound, also if the one to keep is not among them."""
        if kept_id not in turn_ids:
            raise NotFound(f"The answer {kept_id!r} is not among those of which one is to be kept.")
        others = [turn_id for turn_id in dict.fromkeys(turn_ids) if turn_id != kept_id]
        with self._database.writing() as session:
            review.check_known(session, [kept_id, *others], owner)
            action_id = record(session, actor, "keep_one", "rejected", {"kept": kept_id}).id
        for start in range(0, len(others), BATCH):
            with self._database.writing() as session:
                there = review.known(session, others[start : start + BATCH], owner)
                action = session.get_one(ActionRow, action_id)
                add_items(session, action, change(session, there, "state", "rejected"))
        with self._database.reading() as session:
            return action_of(session.get_one(ActionRow, action_id))

    def duplicates(self, filters: Filters, limit: int = 50) -> list[DuplicateGroup]:
        """Answers with the same or a close picture and a close question, most numerous groups first."""
        self._look_at_pictures()
        with self._database.reading() as session:
            return groups(session, filters, limit)

    def _look_at_pictures(self) -> None:
        """Those that an earlier version of the program stored have no fingerprint yet."""
        with self._database.reading() as session:
            unseen = session.scalars(pictures.UNSEEN.limit(MAX_UNSEEN)).all()
        looks = pictures.looks_of(self._images, map(ImageRef, unseen))
        if looks:
            with self._database.writing() as session:
                pictures.note_looks(session, looks)

    def note_export(self, actor: str, num_rows: int, about: Mapping[str, Any]) -> Action:
        """Who made a data set of what (`format` and `selection`), for the trail."""
        with self._database.writing() as session:
            return action_of(record(session, actor, "export", num_rows, about))

    def undo(self, actor: str, action_id: int) -> Action:
        """Take an action back where nothing else was decided since and the answer is not private; the number of
        answers that got back what they had is the `num_answers` of the action returned. Raises NotFound, also if it
        was taken back before."""
        with self._database.writing() as session:
            row = session.get(ActionRow, action_id)
            if row is None or row.undone_at is not None or row.kind not in _UNDONE:
                raise NotFound(
                    f"The action {action_id!r} cannot be taken back; it was before, or it is not there."
                )
            kind = row.kind
            undoing_id = record(session, actor, "undo", action_id, {"kind": kind}).id
        after = 0
        while True:
            with self._database.writing() as session:
                query = (
                    select(ActionItemRow)
                    .where(ActionItemRow.action_id == action_id, ActionItemRow.turn_id > after)
                    .order_by(ActionItemRow.turn_id)
                    .limit(BATCH)
                )
                batch = session.scalars(query).all()
                undoing = session.get_one(ActionRow, undoing_id)
                if not batch:  # only now, so that an undo that was cut off can be asked for again
                    session.get_one(ActionRow, action_id).undone_at = datetime.now(UTC)
                    return action_of(undoing)
                after = batch[-1].turn_id
                add_items(session, undoing, restored(session, action_id, kind, batch))

    # -- how -------------------------------------------------------------------------------------------------

    def _one(self, actor: str, turn_id: int, owner: str | None, kind: str, value: Any) -> Action:
        with self._database.writing() as session:
            row = _row(session, turn_id, owner)
            action = record(session, actor, kind, value, {"conversation": row.conversation_id})
            add_items(session, action, change(session, [row.id], kind, value))
            return action_of(action)

    def _many(self, actor: str, filters: Filters, kind: str, value: Any) -> Action:
        with self._database.writing() as session:
            action_id = record(session, actor, kind, value, {"filters": filters.to_json()}).id
        place: Place | None = None
        while True:
            with self._database.writing() as session:
                query = select(AnswerRow.answered_at, AnswerRow.turn_id).where(conditions(session, filters))
                query = query.where(AnswerRow.finish_reason != "running")
                if place is not None:
                    query = query.where(tuple_(AnswerRow.answered_at, AnswerRow.turn_id) < tuple_(*place))
                batch = session.execute(newest_first(session, query, filters).limit(BATCH)).all()
                action = session.get_one(ActionRow, action_id)
                if not batch:
                    return action_of(action)
                place = Place(*batch[-1])
                add_items(session, action, change(session, [turn_id for _, turn_id in batch], kind, value))


_UNDONE = ("state", "tags", "tag", "untag", "keep_one", "rate", "correct")


def _checked_state(state: str) -> str:
    if state not in get_args(ReviewState):
        raise ValueError(f"an answer is {', '.join(get_args(ReviewState))}, not {state!r}")
    return state


def _row(session: Session, turn_id: int, owner: str | None) -> TurnRow:
    return session.get_one(TurnRow, review.item(session, turn_id, owner).id)


def _last_of(session: Session, actor: str, kind: str) -> Action:
    query = (
        select(ActionRow)
        .where(ActionRow.actor == actor, ActionRow.kind == kind)
        .order_by(ActionRow.id.desc())
    )
    return action_of(session.scalars(query.limit(1)).one())

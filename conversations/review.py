"""The review queue: answers with all that a reviewer needs to decide, page by page, and how many there are.

A page is asked for by the last item of the one before, not by a number: what is decided meanwhile moves nothing.
Counts stop at a cap, since a million rows take a second to count and nobody needs the last digit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, Select, false, func, select, tuple_
from sqlalchemy.orm import Session, aliased

from conversations.errors import NotFound
from conversations.filters import Filters, ReviewState
from conversations.log_text import can_be_kept
from conversations.messages import ImageRef
from conversations.personal_data import Found, find
from conversations.reasons import Reason, reasons_of
from conversations.search import tags_of
from conversations.search_words import Span, highlights, searched
from conversations.shelf import conditions, listed, newest_first, walked
from conversations.tables import AnswerRow, AnswerTagRow, ConversationRow, PictureRow, TurnPictureRow, TurnRow
from conversations.turns import FinishReason, Rating

MAX_COUNT = 10_000
MAX_PAGE = 200
MAX_TEXT_HITS = 10_000
"""Turns that the filter `text` looks at for a page and a count, the newest ones; nobody reads on beyond them. What is
done to all answers that are meant looks at all."""

_ANSWER, _QUESTION = aliased(TurnRow), aliased(TurnRow)  # once, since each costs a millisecond


class Place(NamedTuple):
    """Where an item stands in the queue; the next page begins below it."""

    answered_at: datetime
    turn_id: int


@dataclass(frozen=True, slots=True)
class Item:
    """An answer in the queue. `pictures` are those of the whole way down to the question, oldest first.
    `*_personal` is personal data to highlight, `*_hits` what the filter `text` found."""

    id: int
    conversation_id: str
    title: str
    owner: str
    question_id: int
    question: str
    answer: str
    correction: str | None
    pictures: tuple[ImageRef, ...]
    rating: Rating | None
    reasons: tuple[Reason, ...]
    note: str
    state: ReviewState
    tags: tuple[str, ...]
    conversation_tags: tuple[str, ...]
    model: str
    finish_reason: FinishReason
    error: str | None
    answered_at: datetime
    is_private: bool
    num_turns_above: int
    question_personal: tuple[Found, ...]
    answer_personal: tuple[Found, ...]
    correction_personal: tuple[Found, ...]
    question_hits: tuple[Span, ...]
    answer_hits: tuple[Span, ...]

    @property
    def place(self) -> Place:
        return Place(self.answered_at, self.id)


@dataclass(frozen=True, slots=True)
class Count:
    """`number` is exact unless `capped`: then there are more."""

    number: int
    capped: bool


def count(session: Session, filters: Filters, cap: int = MAX_COUNT) -> Count:
    query = walked(session, select(AnswerRow.turn_id).where(_meant(session, filters)), filters).limit(cap + 1)
    number = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    return Count(min(number, cap), number > cap)


def _meant(session: Session, filters: Filters) -> ColumnElement[bool]:
    return conditions(session, filters, max_text_hits=MAX_TEXT_HITS)


def page(session: Session, filters: Filters, after: Place | None, limit: int) -> list[Item]:
    """The next items below `after`, newest first."""
    query = select(AnswerRow.turn_id).where(_meant(session, filters))
    if after is not None:
        query = query.where(tuple_(AnswerRow.answered_at, AnswerRow.turn_id) < tuple_(*after))
    query = newest_first(session, query, filters).limit(max(0, min(limit, MAX_PAGE)))
    return items(session, session.scalars(query).all(), filters.text)


def item(session: Session, turn_id: int, owner: str | None) -> Item:
    """One answer; of this owner, or for a reviewer (None) anybody's that is not private. Raises NotFound."""
    found = items(session, [turn_id]) if _is_id(turn_id) else []
    if not found or (found[0].owner != owner if owner is not None else found[0].is_private):
        raise _not_here(turn_id)
    return found[0]


def known(session: Session, turn_ids: Sequence[int], owner: str | None) -> list[int]:
    """Those of these answers that `item` would give, each once, in one look."""
    if owner is not None and not can_be_kept(owner):
        return []
    query = (
        select(AnswerRow.turn_id)
        .join(ConversationRow, ConversationRow.id == AnswerRow.conversation_id)
        .where(AnswerRow.turn_id.in_(listed(session, filter(_is_id, turn_ids))))
        .where(AnswerRow.is_private == false() if owner is None else ConversationRow.owner == owner)
    )
    return list(session.scalars(query))


def check_known(session: Session, turn_ids: Sequence[int], owner: str | None) -> None:
    """Raises NotFound for the first one that `item` would not give."""
    there = set(known(session, turn_ids, owner))
    missing = [turn_id for turn_id in turn_ids if turn_id not in there]
    if missing:
        raise _not_here(missing[0])


def _is_id(turn_id: object) -> bool:
    return isinstance(turn_id, int) and 0 < turn_id < 2**63


def _not_here(turn_id: object) -> NotFound:
    return NotFound(f"There is no answer {turn_id!r} here; it was deleted, or it is private.")


def items(session: Session, turn_ids: Sequence[int], words: str = "") -> list[Item]:
    """These answers, in this order, without those that are gone."""
    rows = {row.turn_id: row for row in session.execute(_whole(turn_ids))}
    tags = tags_on(session, turn_ids)
    conversation_tags = tags_of(session, [row.conversation_id for row in rows.values()])
    ways = _ways(session, [row.question_id for row in rows.values()])
    pictures = _pictures(session, {turn_id for way in ways.values() for turn_id in way})
    phrases = searched(words)
    return [
        _item(
            rows[turn_id],
            tags=tags[turn_id],
            conversation_tags=conversation_tags.get(rows[turn_id].conversation_id, ()),
            pictures=tuple(
                ref for above in ways[rows[turn_id].question_id] for ref in pictures.get(above, ())
            ),
            num_turns_above=2 * len(ways[rows[turn_id].question_id]) - 2,
            phrases=phrases,
        )
        for turn_id in turn_ids
        if turn_id in rows
    ]


def _whole(turn_ids: Sequence[int]) -> Select[*tuple[Any, ...]]:
    return (
        select(
            AnswerRow.turn_id,
            AnswerRow.conversation_id,
            ConversationRow.title,
            ConversationRow.owner,
            _QUESTION.id.label("question_id"),
            _QUESTION.text.label("question"),
            _ANSWER.text.label("answer"),
            AnswerRow.correction,
            AnswerRow.rating,
            AnswerRow.reasons,
            AnswerRow.note,
            AnswerRow.state,
            AnswerRow.model,
            AnswerRow.finish_reason,
            AnswerRow.error,
            AnswerRow.answered_at,
            AnswerRow.is_private,
        )
        .join(_ANSWER, _ANSWER.id == AnswerRow.turn_id)
        .join(_QUESTION, _QUESTION.id == _ANSWER.parent_id)
        .join(ConversationRow, ConversationRow.id == AnswerRow.conversation_id)
        .where(AnswerRow.turn_id.in_(turn_ids))
    )


def _item(row: Any, *, phrases: Sequence[Sequence[str]], **beside: Any) -> Item:
    return Item(
        id=row.turn_id,
        conversation_id=row.conversation_id,
        title=row.title,
        owner=row.owner,
        question_id=row.question_id,
        question=row.question,
        answer=row.answer,
        correction=row.correction,
        rating=cast("Rating | None", row.rating),
        reasons=reasons_of(row.reasons),
        note=row.note,
        state=cast(ReviewState, row.state),
        model=row.model,
        finish_reason=cast(FinishReason, row.finish_reason),
        error=row.error,
        answered_at=row.answered_at,
        is_private=row.is_private,
        question_personal=find(row.question),
        answer_personal=find(row.answer),
        correction_personal=() if row.correction is None else find(row.correction),
        question_hits=highlights(row.question, phrases),
        answer_hits=highlights(row.answer, phrases),
        **beside,
    )


def tags_on(session: Session, turn_ids: Sequence[int]) -> defaultdict[int, tuple[str, ...]]:
    """Of each answer, in alphabetical order; none of those that have none."""
    query = select(AnswerTagRow.turn_id, AnswerTagRow.tag).where(AnswerTagRow.turn_id.in_(turn_ids))
    tags: defaultdict[int, tuple[str, ...]] = defaultdict(tuple)
    for turn_id, tag in session.execute(query.order_by(AnswerTagRow.tag)):
        tags[turn_id] += (tag,)
    return tags


def _ways(session: Session, question_ids: Sequence[int]) -> dict[int, list[int]]:
    """For each question the questions from the first one down to itself."""
    ways = {question_id: [question_id] for question_id in question_ids}
    tops = {question_id: question_id for question_id in ways}
    while tops:
        query = (
            select(_QUESTION.id, _ANSWER.parent_id)
            .join(_ANSWER, _ANSWER.id == _QUESTION.parent_id)
            .where(_QUESTION.id.in_(set(tops.values())))
        )
        above = dict(session.execute(query).all())
        tops = {key: parent_id for key, top in tops.items() if (parent_id := above.get(top)) is not None}
        for key, top in tops.items():
            ways[key].insert(0, top)
    return ways


def _pictures(session: Session, turn_ids: Iterable[int]) -> dict[int, list[ImageRef]]:
    query = (
        select(TurnPictureRow.turn_id, TurnPictureRow.sha256, PictureRow.width, PictureRow.height)
        .join(PictureRow, PictureRow.sha256 == TurnPictureRow.sha256)
        .where(TurnPictureRow.turn_id.in_(list(turn_ids)))
        .order_by(TurnPictureRow.turn_id, TurnPictureRow.position)
    )
    pictures: dict[int, list[ImageRef]] = {}
    for turn_id, sha256, width, height in session.execute(query):
        pictures.setdefault(turn_id, []).append(ImageRef(sha256, width, height))
    return pictures

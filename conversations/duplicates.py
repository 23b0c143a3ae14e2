"""Near-duplicates: answers to close questions about the same or close pictures.

Pictures are close when their fingerprints are, or when they are one file; of several each has to be, in their order.
Questions are close when most of their words are the same; those without any word (an emoji) when they are equal. Of
such a group a data set needs one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from conversations import fingerprint
from conversations.filters import Filters
from conversations.review import Item, items
from conversations.search_words import indexed
from conversations.shelf import conditions, listed, newest_first
from conversations.tables import AnswerRow, PictureRow, TurnPictureRow, TurnRow

MAX_ANSWERS = 20_000
"""The newest answers among those meant that are compared."""

MIN_SHARED_WORDS = 0.7
"""Of all words of two close questions, the share that stands in both (Jaccard)."""

MAX_GROUP = 50
MAX_COMPARED = 300
"""Different questions about one look that a new one is compared with, the first ones; the same question is always
known again."""


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Answers of which one is enough, newest first, at most 50 shown of `num_answers`."""

    items: tuple[Item, ...]
    turn_ids: tuple[int, ...]

    @property
    def num_answers(self) -> int:
        return len(self.turn_ids)


@dataclass(frozen=True, slots=True)
class _Asked:
    turn_id: int
    pictures: tuple[str, ...]
    words: frozenset[str]


def groups(session: Session, filters: Filters, limit: int) -> list[DuplicateGroup]:
    """The most numerous groups first. Rejected answers are decided and left out."""
    asked = _asked(session, filters)
    same_look = _joined(_looks(session, {sha256 for one in asked for sha256 in one.pictures}))
    by_look: defaultdict[tuple[str, ...], list[_Asked]] = defaultdict(list)
    for one in asked:
        by_look[tuple(same_look.get(sha256, sha256) for sha256 in one.pictures)].append(one)
    found = [group for some in by_look.values() for group in _close_questions(some) if len(group) > 1]
    found.sort(key=lambda group: (-len(group), -group[0]))
    return [DuplicateGroup(tuple(items(session, group[:MAX_GROUP])), tuple(group)) for group in found[:limit]]


def _asked(session: Session, filters: Filters) -> list[_Asked]:
    """Answers whose question carries a picture itself: a follow-up means something else in another
    conversation. Of the versions of a question the newest: an export takes one of them."""
    answer, question = aliased(TurnRow), aliased(TurnRow)
    query = (
        select(AnswerRow.turn_id, AnswerRow.conversation_id, question.parent_id, question.id, question.text)
        .join(answer, answer.id == AnswerRow.turn_id)
        .join(question, question.id == answer.parent_id)
        .join(TurnPictureRow, TurnPictureRow.turn_id == question.id)
        .where(conditions(session, filters), AnswerRow.state != "rejected", TurnPictureRow.position == 0)
    )
    newest: dict[tuple[str, int | None], tuple[int, int, str]] = {}
    for turn_id, conversation_id, parent_id, question_id, text in session.execute(
        newest_first(session, query.where(answer.is_shown), filters).limit(MAX_ANSWERS)
    ):
        newest.setdefault((conversation_id, parent_id), (turn_id, question_id, text))
    pictures = _pictures(session, [question_id for _, question_id, _ in newest.values()])
    return [
        _Asked(turn_id, tuple(pictures[question_id]), _words(text))
        for turn_id, question_id, text in newest.values()
    ]


def _pictures(session: Session, question_ids: Iterable[int]) -> defaultdict[int, list[str]]:
    query = (
        select(TurnPictureRow.turn_id, TurnPictureRow.sha256)
        .where(TurnPictureRow.turn_id.in_(listed(session, question_ids)))
        .order_by(TurnPictureRow.turn_id, TurnPictureRow.position)
    )
    pictures: defaultdict[int, list[str]] = defaultdict(list)
    for question_id, sha256 in session.execute(query):
        pictures[question_id].append(sha256)
    return pictures


def _words(text: str) -> frozenset[str]:
    return frozenset(indexed(text).split()) or frozenset({text.strip()})


def _looks(session: Session, sha256s: Iterable[str]) -> dict[str, str]:
    wanted = set(sha256s)
    query = select(PictureRow.sha256, PictureRow.fingerprint).where(PictureRow.fingerprint.is_not(None))
    return {sha256: look for sha256, look in session.execute(query) if look is not None and sha256 in wanted}


def _joined(looks: dict[str, str]) -> dict[str, str]:
    """Each picture -> one that stands for all that look like it. A chain of close pictures is not followed: each
    is compared with the one that stands for its group."""
    stands_for: dict[str, str] = {}
    by_band: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
    for sha256, look in sorted(looks.items()):
        bands = list(fingerprint.bands(look))
        candidates = dict.fromkeys(other for band in bands for other in by_band[band])
        alike = next((other for other in candidates if fingerprint.look_alike(look, looks[other])), None)
        if alike is None:
            for band in bands:
                by_band[band].append(sha256)
        stands_for[sha256] = alike or sha256
    return stands_for


def _close_questions(asked: Sequence[_Asked]) -> list[list[int]]:
    """Split what was asked about pictures of one look into groups of close questions."""
    found: list[tuple[frozenset[str], list[int]]] = []
    exact: dict[frozenset[str], list[int]] = {}
    for one in asked:
        group = exact.get(one.words)
        if group is None:
            close = (ids for words, ids in found[:MAX_COMPARED] if _close(words, one.words))
            group = next(close, None)
        if group is None:
            group = []
            found.append((one.words, group))
        exact.setdefault(one.words, group)
        group.append(one.turn_id)
    return [ids for _, ids in found]


def _close(one: frozenset[str], other: frozenset[str]) -> bool:
    return len(one & other) >= MIN_SHARED_WORDS * len(one | other)

"""Puts whole conversations into the log: what an import read, and what a benchmark makes up.

Rows go in with plain inserts, a batch at a time, for there may be a hundred thousand of them. Every value is checked
here as if somebody had typed it, since a file may say anything.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from conversations import search_index
from conversations.errors import InvalidImport, InvalidText
from conversations.feedback import MAX_NOTE_LENGTH
from conversations.history import checked_tags
from conversations.log_text import checked_text, checked_title, title_of
from conversations.personal_data import masked_or_none
from conversations.reasons import bits_of
from conversations.tables import (
    AnswerRow,
    AnswerTagRow,
    ConversationRow,
    ConversationTagRow,
    TurnPictureRow,
    TurnRow,
)
from conversations.turns import ReviewState
from conversations.whole import WholeConversation, WholeTurn


def insert_whole(
    session: Session, owner: str, conversations: Sequence[WholeConversation], page: str, now: datetime
) -> list[str]:
    """Their ids, in order. The pictures' rows are there. Raises InvalidImport, which names the conversation (from
    1), the turn (from 1) and the field."""
    turn_ids = _new_turn_ids(session, sum(len(whole.turns) for whole in conversations))
    rows: dict[type, list[dict[str, Any]]] = {
        table: []
        for table in (ConversationRow, TurnRow, AnswerRow, TurnPictureRow, ConversationTagRow, AnswerTagRow)
    }
    entries: list[tuple[int, str, str, str]] = []
    ids = []
    for number, whole in enumerate(conversations, start=1):
        conversation_id = uuid.uuid4().hex
        ids.append(conversation_id)
        try:
            _check(whole)
            its_turn_ids = [next(turn_ids) for _ in whole.turns]
            made = _rows(whole, owner, conversation_id, its_turn_ids, page, now)
        except (InvalidText, ValueError) as error:
            raise InvalidImport(f"Conversation {number}: {error} Nothing was kept.") from error
        for table, some in made.items():
            rows[table] += some
        title = made[ConversationRow][0]["title"]
        entries += [
            (
                turn_id,
                owner,
                title if turn.parent is None else "",
                turn.text if turn.correction is None else f"{turn.text}\n{turn.correction}",
            )
            for turn_id, turn in zip(its_turn_ids, whole.turns, strict=True)
        ]
    for table, some in rows.items():
        if some:
            session.execute(insert(table), some)
    search_index.put(session, entries)
    return ids


def _rows(
    whole: WholeConversation,
    owner: str,
    conversation_id: str,
    turn_ids: Sequence[int],
    page: str,
    now: datetime,
) -> dict[type, list[dict[str, Any]]]:
    created_at = _not_after(whole.created_at, now)
    times = [_not_after(turn.created_at, now) if turn.created_at else created_at for turn in whole.turns]
    pictured: list[bool] = []
    for turn in whole.turns:
        above = turn.parent is not None and pictured[turn.parent]
        pictured.append(above or bool(turn.images))
    conversation = _conversation(whole) | {
        "id": conversation_id,
        "owner": owner,
        "created_at": created_at,
        "updated_at": max(times),
    }
    turns, answers, uses = [], [], []
    for place, turn in enumerate(whole.turns):
        turn_id = turn_ids[place]
        turns.append(
            {
                "id": turn_id,
                "conversation_id": conversation_id,
                "parent_id": None if turn.parent is None else turn_ids[turn.parent],
                "role": turn.role,
                "text": turn.text,
                "is_shown": turn.is_shown,
                "created_at": times[place],
                "masked_text": masked_or_none(turn.text),
            }
        )
        uses += [
            {"turn_id": turn_id, "position": position, "sha256": image.sha256}
            for position, image in enumerate(turn.images)
        ]
        if turn.role == "assistant":
            answers.append(
                _answer(turn)
                | {
                    "turn_id": turn_id,
                    "conversation_id": conversation_id,
                    "page": page,
                    "answered_at": times[place],
                    "has_picture": pictured[place],
                    "is_private": whole.is_private,
                }
            )
    tags = [{"conversation_id": conversation_id, "tag": tag} for tag in checked_tags(whole.tags)]
    return {
        ConversationRow: [conversation],
        TurnRow: turns,
        AnswerRow: answers,
        TurnPictureRow: uses,
        ConversationTagRow: tags,
        AnswerTagRow: _answer_tags(whole, turn_ids),
    }


def _conversation(whole: WholeConversation) -> dict[str, Any]:
    return {
        "title": checked_title(whole.title) if whole.title else title_of(whole.turns[0].text),
        "system_prompt": checked_text(whole.system_prompt, "The system prompt"),
        "is_pinned": whole.is_pinned,
        "is_archived": whole.is_archived,
        "is_private": whole.is_private,
    }


def _answer_tags(whole: WholeConversation, turn_ids: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {"turn_id": turn_id, "tag": tag}
        for turn_id, turn in zip(turn_ids, whole.turns, strict=True)
        for tag in checked_tags(turn.tags)
    ]


def _answer(turn: WholeTurn) -> dict[str, Any]:
    correction = turn.correction
    return asdict(turn.answer) | {
        "rating": turn.rating,
        "reasons": bits_of(turn.reasons),
        "note": turn.note,
        "state": "rejected" if turn.state == "rejected" else "pending",
        "correction": correction,
        "masked_correction": None if correction is None else masked_or_none(correction),
    }


def _check(whole: WholeConversation) -> None:
    """A tree of questions and answers in turn, with texts that can be kept."""
    if not whole.turns:
        raise ValueError("it has no turns; the first turn is a question.")
    for number, turn in enumerate(whole.turns, start=1):
        try:
            _check_turn(whole.turns, number - 1, turn)
        except (InvalidText, ValueError) as error:
            raise ValueError(f"turn {number}: {error}") from error


def _check_turn(turns: Sequence[WholeTurn], place: int, turn: WholeTurn) -> None:
    if turn.role not in ("user", "assistant"):
        raise ValueError(f"role is 'user' or 'assistant', not {turn.role!r}.")
    if turn.parent is not None and not 0 <= turn.parent < place:
        raise ValueError(f"parent is {turn.parent!r}; name an earlier turn.")
    above = None if turn.parent is None else turns[turn.parent].role
    if (turn.role == "assistant") != (above == "user"):
        raise ValueError("a question follows an answer or begins, and an answer follows a question.")
    checked_text(turn.text, "text")
    if turn.role == "user":
        if not turn.text.strip() and not turn.images:
            raise ValueError("text is empty, and the question has no picture.")
        judged = (turn.rating, turn.reasons, turn.note, turn.correction is not None, turn.tags)
        if any(judged) or turn.state != "pending":
            raise ValueError("rating, reasons, note, state, tags and correction are an answer's.")
        return
    if turn.images:
        raise ValueError("pictures are a question's.")
    if turn.answer.finish_reason == "running":
        raise ValueError("finish_reason is 'running'; only what has ended is imported.")
    for name in ("model", "template", "system_prompt", "error"):
        checked_text(getattr(turn.answer, name) or "", name)
    _ = turn.answer.settings  # raises InvalidSettings for numbers that cannot be kept
    _check_judged(turn)


def _check_judged(turn: WholeTurn) -> None:
    """What people made of an answer."""
    if turn.rating not in ("up", "down", None) or (turn.rating != "down" and turn.reasons):
        raise ValueError(
            f"rating is 'up', 'down' or none, and reasons go with 'down'; it is {turn.rating!r}."
        )
    if len(checked_text(turn.note, "note")) > MAX_NOTE_LENGTH:
        raise ValueError(f"note has {len(turn.note)} characters; at most {MAX_NOTE_LENGTH} are kept.")
    if turn.correction is not None and not checked_text(turn.correction, "correction").strip():
        raise ValueError("correction is empty; leave it out.")
    if turn.state not in get_args(ReviewState):
        raise ValueError(f"state is {turn.state!r}; give one of {', '.join(get_args(ReviewState))}.")
    checked_tags(turn.tags)


def _not_after(moment: datetime | None, now: datetime) -> datetime:
    """What claims to come from the future, or from before computers, would stand at the list's ends for ever."""
    if moment is None:
        return now
    return min(max(moment.astimezone(UTC), datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=1)), now)


def _new_turn_ids(session: Session, number: int) -> Iterator[int]:
    """Ids that nobody else will get, in rising order: SQLite has one writer, PostgreSQL gives them out."""
    if session.get_bind().dialect.name == "sqlite":
        newest = session.scalar(select(func.max(TurnRow.id))) or 0
        return iter(range(newest + 1, newest + 1 + number))
    each = select(func.nextval(func.pg_get_serial_sequence("turns", "id"))).select_from(
        func.generate_series(1, number)
    )
    return iter(sorted(session.scalars(each)))

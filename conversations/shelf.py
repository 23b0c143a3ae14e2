"""From filters to SQL: which answers are meant, newest first, each read off an index.

SQLite keeps no histogram and takes any index that fits, often the one that half the table matches. So the index is
named here, by what is rarest as a rule: corrections, reasons, ratings, decisions; what nothing rare narrows is
walked newest first, where a page is full soon. PostgreSQL knows its own numbers.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    exists,
    false,
    func,
    literal_column,
    select,
    text,
    true,
    union,
)
from sqlalchemy.orm import Session, aliased

from conversations import search_index
from conversations.filters import Filters
from conversations.log_text import can_be_kept
from conversations.reasons import bits_of
from conversations.search_words import searched
from conversations.tables import AnswerRow, AnswerTagRow, ConversationRow, ConversationTagRow, TurnRow

ALL = 2**62
FEW = 1000
"""Conversations of which all answers are sorted in some milliseconds."""


def conditions(session: Session, filters: Filters, *, max_text_hits: int = ALL) -> ColumnElement[bool]:
    """What holds of the AnswerRow of every answer that is meant. Somebody else's private conversations are never
    meant: without an owner no private one is. With `max_text_hits` the filter `text` looks at so many turns only,
    the newest ones."""
    parts: list[ColumnElement[bool]] = []
    if filters.owner is None:
        parts.append(AnswerRow.is_private == false())
    else:
        parts.append(_of_owner(session, filters.owner))
    parts += _of_time(filters)
    parts += _of_answer(filters)
    if filters.tag is not None:
        parts.append(_tagged(filters.tag))
    if filters.text.strip():
        parts.append(_with_words(session, filters, max_text_hits))
    return and_(*parts)


def newest_first(session: Session, query: Select, filters: Filters) -> Select:
    """Order a query on the answers that are meant, and name the index that SQLite takes."""
    ordered = walked(session, query, filters)
    return ordered.order_by(AnswerRow.answered_at.desc(), AnswerRow.turn_id.desc())


def walked(session: Session, query: Select, filters: Filters) -> Select:
    """The same index where the order does not matter."""
    if filters.tag is not None or filters.text.strip():
        return query  # few are meant, and they are known by their ids
    index = _index(filters)
    if filters.owner is not None and _has_few(session, filters.owner):
        index = "ix_answers_conversation_id"
    return query.with_hint(AnswerRow, f"INDEXED BY {index}", dialect_name="sqlite")


def _of_time(filters: Filters) -> list[ColumnElement[bool]]:
    parts: list[ColumnElement[bool]] = []
    if filters.since is not None:
        parts.append(AnswerRow.answered_at >= filters.since)
    if filters.until is not None:
        parts.append(AnswerRow.answered_at < filters.until)
    return parts


def _of_answer(filters: Filters) -> list[ColumnElement[bool]]:
    """A partial index is taken only where its own condition stands in the query, to the letter."""
    parts: list[ColumnElement[bool]] = []
    if filters.model is not None:
        parts.append(AnswerRow.model == _kept(filters.model))
    if filters.rating == "none":
        parts.append(AnswerRow.rating.is_(None))
    elif filters.rating is not None:
        parts.append(AnswerRow.rating == filters.rating)
    if filters.reason is not None:
        bit = bits_of([filters.reason])
        parts += [text("answers.reasons <> 0"), AnswerRow.reasons.op("&")(bit) != 0]  # type: ignore[list-item]
    if filters.state is not None:
        if filters.state != "pending":
            parts.append(text("answers.state <> 'pending'"))  # type: ignore[arg-type]
        parts.append(AnswerRow.state == filters.state)
    if filters.finish_reason is not None:
        if filters.finish_reason != "stop":
            parts.append(text("answers.finish_reason <> 'stop'"))  # type: ignore[arg-type]
        parts.append(AnswerRow.finish_reason == filters.finish_reason)
    if filters.has_picture is not None:
        parts.append(AnswerRow.has_picture == (true() if filters.has_picture else false()))
    if filters.corrected is not None:
        corrected = AnswerRow.correction.is_not(None)
        parts.append(corrected if filters.corrected else AnswerRow.correction.is_(None))
    return parts


def _index(filters: Filters) -> str:
    if filters.corrected:
        return "ix_answers_correction"
    if filters.reason is not None:
        return "ix_answers_reasons"
    if filters.rating not in (None, "none"):
        return "ix_answers_rating"
    if filters.state not in (None, "pending"):
        return "ix_answers_state"
    if filters.finish_reason not in (None, "stop"):
        return "ix_answers_finish_reason"
    if filters.model is not None:
        return "ix_answers_model"
    return "ix_answers_newest"


def _of_owner(session: Session, owner: str) -> ColumnElement[bool]:
    """Whoever has few conversations is looked for among them, and who has many among all answers, where a page of
    theirs is full soon."""
    if _has_few(session, owner):
        return AnswerRow.conversation_id.in_(
            select(ConversationRow.id).where(ConversationRow.owner == _kept(owner))
        )
    return exists().where(
        ConversationRow.id == AnswerRow.conversation_id, ConversationRow.owner == _kept(owner)
    )


def _has_few(session: Session, owner: str) -> bool:
    some = select(ConversationRow.id).where(ConversationRow.owner == _kept(owner)).limit(FEW + 1)
    return (session.scalar(select(func.count()).select_from(some.subquery())) or 0) <= FEW


def _tagged(tag: str) -> ColumnElement[bool]:
    """On the answer, or on its conversation."""
    on_answer = select(AnswerTagRow.turn_id).where(AnswerTagRow.tag == _kept(tag))
    of_tagged = aliased(AnswerRow)
    on_conversation = (
        select(of_tagged.turn_id)
        .join(ConversationTagRow, ConversationTagRow.conversation_id == of_tagged.conversation_id)
        .where(ConversationTagRow.tag == _kept(tag))
    )
    return AnswerRow.turn_id.in_(union(on_answer, on_conversation))


def _with_words(session: Session, filters: Filters, limit: int) -> ColumnElement[bool]:
    """In the answer, its correction or its question; the words are looked up first, since an index of words and one
    of times cannot be walked together."""
    phrases = searched(filters.text) if can_be_kept(filters.text) else []
    owner = filters.owner if filters.owner is None or can_be_kept(filters.owner) else ""
    found = search_index.turns_with(session, phrases, owner, limit=limit) if phrases else []
    turns = listed(session, found)
    return AnswerRow.turn_id.in_(union(turns, select(TurnRow.id).where(TurnRow.parent_id.in_(turns))))


def listed(session: Session, ids: Iterable[int]) -> Select[tuple[int]]:
    """Any number of ids as one bound value."""
    joined = ",".join(map(str, ids))
    if session.get_bind().dialect.name == "sqlite":
        return select(literal_column("value")).select_from(
            func.json_each(f"[{joined}]").table_valued("value")
        )
    return select(func.unnest(func.string_to_array(joined, ",").op("::")(literal_column("bigint[]"))))


def _kept(value: str) -> str:
    """What cannot be kept is nowhere: an owner, model or tag that nothing has."""
    return value if can_be_kept(value) else "\ufffd\ufffd"

"""The sidebar's list: a person's conversations, pinned ones first, then newest first, narrowed by words in their
titles and texts.

Every word that was typed must begin a word of the conversation. Counts are capped and nothing is ranked: what was
said last comes first, since ranking would have to look at every hit, and a frequent word has hundreds of thousands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from conversations import search_index
from conversations.log_text import can_be_kept
from conversations.search_words import MAX_INDEXED_LENGTH, Snippet, highlights, searched, snippet
from conversations.tables import AnswerRow, ConversationRow, ConversationTagRow, TurnRow
from conversations.turns import ConversationSummary

MAX_SEARCH_LENGTH = 200
MAX_FOUND = 500
"""Conversations that one search shows; who finds more asks for another word. One more is looked for, so that who asks
sees that there are more."""

_BATCH = 300
_FIRST_LOOK = 20_000
_MAX_ROWS = 2**31 - 1
_MAX_ROUNDS = 40
_SUMMARY = (
    ConversationRow.id,
    ConversationRow.title,
    ConversationRow.updated_at,
    ConversationRow.is_pinned,
    ConversationRow.is_archived,
    ConversationRow.is_private,
)


def recent(
    session: Session,
    owner: str,
    words: str,
    limit: int,
    offset: int,
    *,
    archived: bool | None = False,
    tag: str | None = None,
) -> list[ConversationSummary]:
    """Conversations with a title. Nothing is that long or unprintable that it could be searched for beyond
    `MAX_SEARCH_LENGTH` characters: such a search finds nothing."""
    if len(words) > MAX_SEARCH_LENGTH or not (can_be_kept(words) and can_be_kept(owner)):
        return []
    limit, offset = min(max(0, limit), _MAX_ROWS), min(max(0, offset), _MAX_ROWS)
    if words.strip():
        phrases = searched(words)
        narrowed = _narrowed(owner, archived, tag)
        found = _found(session, owner, phrases, narrowed, min(offset + limit, MAX_FOUND + 1))
        page = _highlighted(session, phrases, found[offset : offset + limit])
    else:
        page = _newest(session, owner, tag, archived, offset + limit)[offset : offset + limit]
    return _with_tags(session, page)


def _newest(
    session: Session, owner: str, tag: str | None, archived: bool | None, limit: int
) -> list[ConversationSummary]:
    """Pinned ones first. Whether archived is asked for one way at a time: the index has each in this order."""
    if archived is None:
        both = [each for way in (False, True) for each in _newest(session, owner, tag, way, limit)]
        both.sort(key=lambda each: each.id)
        both.sort(key=lambda each: (each.is_pinned, each.updated_at), reverse=True)
        return both[:limit]
    query = select(*_SUMMARY).where(*_narrowed(owner, archived, tag)).limit(min(limit, _MAX_ROWS))
    query = query.order_by(
        ConversationRow.is_pinned.desc(), ConversationRow.updated_at.desc(), ConversationRow.id
    )
    return [ConversationSummary(*row) for row in session.execute(query)]


def _narrowed(owner: str, archived: bool | None, tag: str | None) -> list[ColumnElement[bool]]:
    conditions = [ConversationRow.owner == owner, ConversationRow.title != ""]
    if archived is not None:
        conditions.append(ConversationRow.is_archived == archived)
    if tag is not None:
        tagged = select(ConversationTagRow.conversation_id).where(ConversationTagRow.tag == tag)
        conditions.append(ConversationRow.id.in_(tagged))
    return conditions


def _with_tags(session: Session, page: list[ConversationSummary]) -> list[ConversationSummary]:
    tags = tags_of(session, [summary.id for summary in page])
    return [replace(summary, tags=tags[summary.id]) if summary.id in tags else summary for summary in page]


def tags_of(session: Session, conversation_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Of those conversations that have any, in alphabetical order."""
    query = select(ConversationTagRow.conversation_id, ConversationTagRow.tag).where(
        ConversationTagRow.conversation_id.in_(conversation_ids)
    )
    tags: dict[str, list[str]] = {}
    for conversation_id, tag in session.execute(query):
        tags.setdefault(conversation_id, []).append(tag)
    return {conversation_id: tuple(sorted(some)) for conversation_id, some in tags.items()}


def _found(
    session: Session,
    owner: str,
    phrases: Sequence[Sequence[str]],
    narrowed: list[ColumnElement[bool]],
    limit: int,
) -> list[ConversationSummary]:
    """First those with all phrases in one turn, then those with the phrases in different turns."""
    if not phrases or limit == 0:
        return []
    found = _with_all_in_a_turn(session, owner, phrases, narrowed, limit)
    if len(found) < limit and len(phrases) > 1:
        hits = [len(search_index.turns_with(session, [phrase], owner, limit=_BATCH)) for phrase in phrases]
        rarest = _with_all_in_a_turn(session, owner, [phrases[hits.index(min(hits))]], narrowed, limit)
        rest = {key: summary for key, summary in rarest.items() if key not in found}
        found |= _with_all_anywhere(session, phrases, rest)
    return list(found.values())[:limit]


def _with_all_in_a_turn(
    session: Session,
    owner: str,
    phrases: Sequence[Sequence[str]],
    narrowed: list[ColumnElement[bool]],
    limit: int,
) -> dict[str, ConversationSummary]:
    """Those whose hit is newest come first. A conversation may hold many hits, so that it takes several looks."""
    found: dict[str, ConversationSummary] = {}
    before, batch = 2**62, min(2 * limit, _BATCH)
    for _ in range(_MAX_ROUNDS):
        turn_ids = search_index.turns_with(session, phrases, owner, limit=batch, before=before)
        for summary in _of_turns(session, turn_ids, narrowed):
            found.setdefault(summary.id, summary)
        if len(found) >= limit or len(turn_ids) < batch:
            break
        before, batch = turn_ids[-1], _BATCH
    return found


def _of_turns(
    session: Session, turn_ids: list[int], narrowed: list[ColumnElement[bool]]
) -> Iterator[ConversationSummary]:
    """The conversations of these turns, in the turns' order. In two steps, or SQLite would rather walk through all
    conversations of the owner."""
    of_turns = select(TurnRow.id, TurnRow.conversation_id).where(TurnRow.id.in_(turn_ids))
    conversation_ids: dict[int, str] = dict(session.execute(of_turns).all())
    query = select(*_SUMMARY).where(ConversationRow.id.in_(set(conversation_ids.values())), *narrowed)
    query = query.with_hint(
        ConversationRow, "INDEXED BY sqlite_autoindex_conversations_1", dialect_name="sqlite"
    )
    summaries = {row.id: row for row in session.execute(query)}
    for turn_id in turn_ids:
        if (row := summaries.get(conversation_ids.get(turn_id, ""))) is not None:
            yield ConversationSummary(*row, hit_turn_id=turn_id)


def _highlighted(
    session: Session, phrases: Sequence[Sequence[str]], found: Sequence[ConversationSummary]
) -> list[ConversationSummary]:
    hits = _hits(session, phrases, [summary.hit_turn_id for summary in found], _FIRST_LOOK)
    # The whole of a very long text is read where its beginning does not tell why it was found.
    unseen = [turn_id for turn_id, hit in hits.items() if not hit.hits]
    hits |= _hits(session, phrases, unseen, MAX_INDEXED_LENGTH, longer_than=_FIRST_LOOK)
    return [
        replace(summary, title_hits=highlights(summary.title, phrases), hit=hits.get(summary.hit_turn_id))
        for summary in found
    ]


def _hits(
    session: Session,
    phrases: Sequence[Sequence[str]],
    turn_ids: Sequence[int | None],
    length: int,
    longer_than: int = -1,
) -> dict[int | None, Snippet]:
    """Cut out of what was said, or out of the right answer to it where the words stand there alone. Texts are read up
    to `length` characters; turns with no text of more than `longer_than` are passed over."""
    said, right = TurnRow.text, func.coalesce(AnswerRow.correction, "")
    query = (
        select(TurnRow.id, func.substr(said, 1, length), func.substr(right, 1, length))
        .join(AnswerRow, AnswerRow.turn_id == TurnRow.id, isouter=True)
        .where(TurnRow.id.in_(turn_ids))
        .where(or_(func.length(said) > longer_than, func.length(right) > longer_than))
    )
    found: dict[int | None, Snippet] = {}
    for turn_id, text, correction in session.execute(query) if turn_ids else ():
        cut = [snippet(each, phrases) for each in (text, correction)]
        found[turn_id] = next((each for each in cut if each.hits), cut[0])
    return found


def _with_all_anywhere(
    session: Session, phrases: Sequence[Sequence[str]], candidates: dict[str, ConversationSummary]
) -> dict[str, ConversationSummary]:
    """Of the candidates, those in which every phrase stands in the title or in some turn. They are few: they have
    the rarest of the phrases."""
    query = select(TurnRow.id, TurnRow.conversation_id).where(TurnRow.conversation_id.in_(candidates))
    conversation_ids: dict[int, str] = dict(session.execute(query).all())
    left = set(candidates)
    for turn_ids in search_index.each_with(session, phrases, list(conversation_ids)):
        left &= {conversation_ids[turn_id] for turn_id in turn_ids}
    return {key: summary for key, summary in candidates.items() if key in left}

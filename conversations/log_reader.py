"""Reads logged conversations for an export, whole and in the order in which they were begun.

Plain columns in three queries for a thousand conversations at a time, since an export reads the whole log: the
values that the page works with would take several times as long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from conversations import shelf
from conversations.database import Database
from conversations.examples import LoggedConversation, LoggedTurn
from conversations.filters import Filters
from conversations.page_lease import PageLease
from conversations.selection import Selection
from conversations.tables import AnswerRow, ConversationRow, TurnPictureRow, TurnRow
from conversations.template import TEMPLATES

CHUNK = 1000
"""Conversations read at a time."""

MAX_TURN = 2**62


class LogReader:
    """The store's call for it."""

    def __init__(self, database: Database, lease: PageLease) -> None:
        self._database = database
        self._lease = lease

    def conversations(
        self, filters: Filters, last_turn: int | None = None
    ) -> Generator[LoggedConversation, None, None]:
        """All that the filters mean, in one consistent view of the log, which is held until the last one was
        taken or the iterator is closed. With `last_turn` the log as it was when that turn was its newest, as far as
        turns go: what people think of them counts as it stands now."""
        with self._database.reading() as session:
            yield from logged(session, filters, MAX_TURN if last_turn is None else last_turn)

    def closed(self, selection: Selection) -> Selection:
        """The same selection for ever: what is added to the log from now on does not belong to it, nor does anything
        from the oldest answer on that is still being written, since that would be another one when it has ended."""
        if selection.last_turn is not None:
            return selection
        with self._database.reading() as session:
            newest = session.scalar(select(func.max(TurnRow.id))) or 0
            running = select(AnswerRow.turn_id, AnswerRow.page).where(AnswerRow.finish_reason == "running")
            alive = (turn_id - 1 for turn_id, page in session.execute(running) if self._lease.alive(page))
            return replace(selection, last_turn=min((newest, *alive)))


def logged(session: Session, filters: Filters, last_turn: int = MAX_TURN) -> Iterator[LoggedConversation]:
    """Every conversation with an answer that the filters mean. Of those that nobody but their owner may read the
    turns are left where they are; without filters they come all the same, to be counted."""
    meant = None if filters == Filters() else _meant(session, filters)
    order = (ConversationRow.created_at, ConversationRow.id)
    query = select(ConversationRow.id, ConversationRow.is_private).order_by(*order)
    if filters.owner is not None:
        query = query.where(ConversationRow.owner == filters.owner)
    found = session.execute(query.where(ConversationRow.title != "").execution_options(yield_per=CHUNK))
    for rows in found.partitions():
        chunk = [(id, is_private) for id, is_private in rows if meant is None or id in meant]
        turns = _turns(session, [id for id, is_private in chunk if not is_private], meant, last_turn)
        private = _begun(session, [id for id, is_private in chunk if is_private], last_turn)
        for id, is_private in chunk:
            if id in private or id in turns:
                yield LoggedConversation(id, tuple(turns.get(id, ())), is_private)


def _begun(session: Session, ids: Sequence[str], last_turn: int) -> set[str]:
    """Those that have a turn."""
    query = select(TurnRow.conversation_id).where(TurnRow.conversation_id.in_(ids), TurnRow.id <= last_turn)
    return set(session.scalars(query.distinct())) if ids else set()


def _meant(session: Session, filters: Filters) -> dict[str, set[int]]:
    """By conversation the ids of the answers that are meant."""
    query = select(AnswerRow.conversation_id, AnswerRow.turn_id).where(shelf.conditions(session, filters))
    found: defaultdict[str, set[int]] = defaultdict(set)
    for conversation_id, turn_id in session.execute(shelf.walked(session, query, filters)):
        found[conversation_id].add(turn_id)
    return found


def _turns(
    session: Session, ids: Sequence[str], meant: dict[str, set[int]] | None, last_turn: int
) -> defaultdict[str, list[LoggedTurn]]:
    """By conversation its turns, oldest first."""
    images: defaultdict[int, list[str]] = defaultdict(list)
    pictures = (
        select(TurnPictureRow.turn_id, TurnPictureRow.sha256)
        .join(TurnRow, TurnRow.id == TurnPictureRow.turn_id)
        .where(TurnRow.conversation_id.in_(ids))
        .order_by(TurnPictureRow.turn_id, TurnPictureRow.position)
    )
    for turn_id, sha256 in session.execute(pictures):
        images[turn_id].append(sha256)
    query = (
        select(
            TurnRow.conversation_id,
            TurnRow.id,
            TurnRow.parent_id,
            TurnRow.role,
            TurnRow.text,
            TurnRow.is_shown,
            TurnRow.masked_text,
            AnswerRow.finish_reason,
            AnswerRow.template,
            AnswerRow.system_prompt,
            AnswerRow.rating,
            AnswerRow.state,
            AnswerRow.correction,
            AnswerRow.masked_correction,
        )
        .outerjoin(AnswerRow, AnswerRow.turn_id == TurnRow.id)
        .where(TurnRow.conversation_id.in_(ids), TurnRow.id <= last_turn)
        .order_by(TurnRow.id)
    )
    turns: defaultdict[str, list[LoggedTurn]] = defaultdict(list)
    for conversation_id, id, parent_id, role, text, is_shown, masked_text, *answer in session.execute(query):
        if role == "user":
            turn = LoggedTurn(id, parent_id, "user", text, tuple(images.get(id, ())), is_shown, masked_text)
        else:
            finish_reason, template, system_prompt, rating, state, correction, masked_correction = answer
            turn = LoggedTurn(
                id,
                parent_id,
                "assistant",
                text,
                (),
                is_shown,
                masked_text,
                finish_reason,
                "" if _is_own(template, system_prompt) else system_prompt or "",
                rating,
                state,
                correction,
                masked_correction,
                meant is None or id in meant[conversation_id],
            )
        turns[conversation_id].append(turn)
    return turns


@lru_cache(maxsize=1000)
def _is_own(template: str, system_prompt: str) -> bool:
    """A template's own text that was handed back is none that a person wrote."""
    return template in TEMPLATES and TEMPLATES[template].system == system_prompt

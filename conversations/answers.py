"""The life of an answer in the database: started, saved piece by piece, ended once.

The first end counts, with one exception: an answer that was marked interrupted because its stream seemed gone
may still be ended by that stream, which knows more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import TypeVar

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from conversations.errors import AlreadyAnswered, AnswerRunning
from conversations.indexing import index
from conversations.log_text import checked_text, kept_text
from conversations.tables import AnswerRow, ConversationRow, TurnRow
from conversations.turns import AnswerOutcome, AnswerSettings

_Number = TypeVar("_Number", int | None, float | None)
_ENDS = ("stop", "length", "stopped", "failed", "interrupted")


def running(session: Session, conversation_id: str) -> AnswerRow | None:
    """The answer that this conversation has in the making, if any."""
    query = select(AnswerRow).where(
        AnswerRow.conversation_id == conversation_id, AnswerRow.finish_reason == "running"
    )
    return session.scalar(query)


def refuse_while_running(session: Session, conversation_id: str, alive: Callable[[str], bool]) -> None:
    """Raises AnswerRunning while a live page streams an answer here; a dead page's answer is ended
    instead."""
    row = running(session, conversation_id)
    if row is None:
        return
    if alive(row.page):
        raise AnswerRunning(row.turn_id)
    interrupt(session, row)
    session.flush()


def interrupt(session: Session, row: AnswerRow) -> None:
    """End a running answer for which nobody is left that would; what had come is kept."""
    row.finish_reason = "interrupted"
    _index(session, session.get_one(TurnRow, row.turn_id))


def _index(session: Session, row: TurnRow) -> None:
    index(session, session.get_one(ConversationRow, row.conversation_id), [row])


def refuse_twice(session: Session, question: TurnRow, request_key: str | None) -> None:
    """Raises AlreadyAnswered if this request was answered before."""
    if request_key is None:
        return
    query = select(TurnRow.id).where(
        TurnRow.conversation_id == question.conversation_id,
        TurnRow.role == "assistant",
        TurnRow.request_key == request_key,
    )
    if (answer_id := session.scalar(query)) is not None:
        raise AlreadyAnswered(answer_id)


def start(
    session: Session,
    conversation: ConversationRow,
    question: TurnRow,
    settings: AnswerSettings,
    page: str,
    request_key: str | None,
    now: datetime,
) -> TurnRow:
    """A new, empty answer under the question, running and shown."""
    hide_versions(session, question.conversation_id, question.id)
    row = TurnRow(
        conversation_id=question.conversation_id,
        parent_id=question.id,
        role="assistant",
        text="",
        is_shown=True,
        request_key=request_key,
        created_at=now,
        answer=AnswerRow(
            conversation_id=question.conversation_id,
            page=page,
            finish_reason="running",
            answered_at=now,
            has_picture=has_picture(session, question),
            is_private=conversation.is_private,
            **(
                asdict(settings)
                | {"system_prompt": checked_text(settings.system_prompt, "The system prompt")}
            ),
        ),
        pictures=[],
    )
    session.add(row)
    session.flush()
    return row


def has_picture(session: Session, question: TurnRow) -> bool:
    """Whether a picture stands in this question or anywhere above it."""
    above = None if question.parent_id is None else session.get_one(AnswerRow, question.parent_id)
    return bool(question.pictures) or (above is not None and above.has_picture)


def save_partial(session: Session, answer_id: int, text: str) -> bool:
    """What has come so far; False, and nothing written, if the answer has ended or is gone."""
    still_running = exists().where(AnswerRow.turn_id == answer_id, AnswerRow.finish_reason == "running")
    statement = (
        update(TurnRow)
        .where(TurnRow.id == answer_id, still_running)
        .values(text=kept_text(text))
        .returning(TurnRow.id)
    )
    return session.scalar(statement) is not None


def set_model(session: Session, answer_id: int, model: str, template: str) -> None:
    """Which model answers, and in which template; nothing is changed in an answer that has ended."""
    session.execute(
        update(AnswerRow)
        .where(AnswerRow.turn_id == answer_id, AnswerRow.finish_reason == "running")
        .values(model=kept_text(model), template=kept_text(template))
    )


def finish(session: Session, row: TurnRow, outcome: AnswerOutcome, now: datetime) -> None:
    """Write the end of an answer, unless it has one. Raises ValueError for an outcome that is no end."""
    if outcome.finish_reason not in _ENDS:
        raise ValueError(
            f"an answer cannot end with {outcome.finish_reason!r}; it ends with one of {', '.join(_ENDS)}"
        )
    details = row.answer
    if details is None or details.finish_reason not in ("running", "interrupted"):
        return
    row.text = kept_text(outcome.text)
    details.finish_reason = outcome.finish_reason
    details.error = None if outcome.error is None else kept_text(outcome.error)
    details.num_prompt_tokens = _possible(outcome.num_prompt_tokens)
    details.num_completion_tokens = _possible(outcome.num_completion_tokens)
    details.first_token_ms = _possible(outcome.first_token_ms)
    details.duration_ms = _possible(outcome.duration_ms)
    session.execute(
        update(ConversationRow).where(ConversationRow.id == row.conversation_id).values(updated_at=now)
    )
    _index(session, row)


def _possible(number: _Number) -> _Number | None:
    """A worker may say anything; a number that no answer can have is not known, and costs no answer."""
    return number if number is not None and 0 <= number < 2**31 else None


def recover(session: Session, alive: Callable[[str], bool]) -> int:
    """Mark as interrupted, text kept, what dead pages left running. Returns how many answers that were."""
    rows = session.scalars(select(AnswerRow).where(AnswerRow.finish_reason == "running")).all()
    dead = [row for row in rows if not alive(row.page)]
    for row in dead:
        interrupt(session, row)
    return len(dead)


def hide_versions(session: Session, conversation_id: str, parent_id: int | None) -> None:
    """None of the turns under this parent is the shown one."""
    session.execute(
        update(TurnRow)
        .where(TurnRow.conversation_id == conversation_id, TurnRow.parent_id.is_not_distinct_from(parent_id))
        .values(is_shown=False)
    )

"""What people make of an answer: a thumb with reasons and a note, and the answer that it should have been.

A correction stands beside the answer and never over it: what the model said is what there is to learn from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy.orm import Session

from conversations.actions import record
from conversations.database import Database
from conversations.errors import InvalidText, NotFound
from conversations.indexing import index
from conversations.log_text import checked_text
from conversations.lookup import turn_row
from conversations.personal_data import masked_or_none
from conversations.reasons import bits_of, reasons_of
from conversations.tables import AnswerRow, ConversationRow, TurnRow
from conversations.tree import turn_with_versions
from conversations.turns import Rating, Turn

MAX_NOTE_LENGTH = 2000


def rate(
    session: Session, actor: str, row: TurnRow, rating: Rating | None, reasons: Iterable[str], note: str
) -> None:
    """Raises NotFound for a question, ValueError for what is no rating or reason, InvalidText."""
    answer = _answer(row, "rated")
    if rating not in ("up", "down", None):
        raise ValueError(f"a rating is 'up', 'down' or None, not {rating!r}")
    bits = bits_of(reasons)
    if rating != "down" and bits:
        raise ValueError("reasons say what was wrong; they go with a thumb down only")
    if len(checked_text(note, "The note")) > MAX_NOTE_LENGTH:
        raise InvalidText(f"The note has {len(note)} characters; at most {MAX_NOTE_LENGTH} are kept.")
    before = rated(answer)
    answer.rating, answer.reasons, answer.note = rating, bits, note
    if rated(answer) != before:
        about = {"conversation": row.conversation_id}
        record(session, actor, "rate", rating, about, [(row.id, before, rated(answer))])


def correct(session: Session, actor: str, row: TurnRow, text: str | None) -> None:
    """Raises NotFound for a question or an answer that is being written, InvalidText for an empty correction."""
    answer = _answer(row, "corrected")
    if answer.finish_reason == "running":
        raise InvalidText("This answer is still being written; correct it when it has ended.")
    if text is not None and not checked_text(text, "The correction").strip():
        raise InvalidText("The correction is empty; write what the answer should have been, or take it back.")
    before = answer.correction
    set_correction(session, row, answer, text)
    if text != before:
        about = {"conversation": row.conversation_id}
        record(session, actor, "correct", text is not None, about, [(row.id, before, text)])


def set_correction(session: Session, row: TurnRow, answer: AnswerRow, text: str | None) -> None:
    answer.correction = text
    answer.masked_correction = None if text is None else masked_or_none(text)
    index(session, session.get_one(ConversationRow, row.conversation_id), [row])


def rated(answer: AnswerRow) -> dict[str, Any]:
    """A rating as the trail keeps it."""
    return {"rating": answer.rating, "reasons": list(reasons_of(answer.reasons)), "note": answer.note}


def _answer(row: TurnRow, done: str) -> AnswerRow:
    if row.answer is None:
        raise NotFound(f"The turn {row.id} is not an answer; only answers are {done}.")
    return row.answer


class Feedback:
    """The store's calls for it: a person's, on their own answers. Each raises NotFound for another's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def rate(
        self,
        owner: str,
        turn_id: int,
        rating: Rating | None,
        *,
        reasons: Iterable[str] = (),
        note: str = "",
    ) -> None:
        """A thumb on an answer, or None to take it back. Raises NotFound, ValueError, InvalidText."""
        with self._database.writing() as session:
            rate(session, owner, turn_row(session, owner, turn_id), rating, reasons, note)

    def correct(self, owner: str, turn_id: int, text: str | None) -> Turn:
        """Keep what the answer should have been beside it; None takes that back. Raises NotFound,
        InvalidText."""
        with self._database.writing() as session:
            row = turn_row(session, owner, turn_id)
            correct(session, owner, row, text)
            session.flush()
            return turn_with_versions(session, row)

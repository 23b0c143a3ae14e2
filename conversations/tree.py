"""From rows to values: which branch of a conversation's tree is shown, and which turns are versions of each
other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from conversations.messages import ImageRef, Role
from conversations.reasons import reasons_of
from conversations.tables import AnswerRow, TurnRow
from conversations.turns import AnswerDetails, FinishReason, Rating, ReviewState, Turn


def shown_path(rows: Iterable[TurnRow]) -> tuple[Turn, ...]:
    """Turns of one conversation, in any order -> the shown ones, from the root to the last."""
    children: defaultdict[int | None, list[TurnRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.id):
        children[row.parent_id].append(row)
    path: list[Turn] = []
    parent_id: int | None = None
    while versions := children.get(parent_id):
        row = _shown(versions)
        path.append(turn_of(row, [version.id for version in versions]))
        parent_id = row.id
    return tuple(path)


def path_to(rows: Iterable[TurnRow], turn_id: int) -> tuple[Turn, ...]:
    """Turns of one conversation, in any order -> those from the root to this one, whether they are shown or
    not."""
    by_id = {row.id: row for row in sorted(rows, key=lambda row: row.id)}
    children: defaultdict[int | None, list[int]] = defaultdict(list)
    for row in by_id.values():
        children[row.parent_id].append(row.id)
    path: list[Turn] = []
    next_id: int | None = turn_id
    while next_id is not None:
        row = by_id[next_id]
        path.append(turn_of(row, children[row.parent_id]))
        next_id = row.parent_id
    return tuple(reversed(path))


def all_turns(rows: Sequence[TurnRow]) -> list[tuple[Turn, bool]]:
    """Turns of one conversation, oldest first -> each, and whether it is the shown one among its versions."""
    children: defaultdict[int | None, list[TurnRow]] = defaultdict(list)
    for row in rows:
        children[row.parent_id].append(row)
    return [
        (turn_of(row, [version.id for version in versions]), row is _shown(versions))
        for row in rows
        for versions in (children[row.parent_id],)
    ]


def _shown(versions: Sequence[TurnRow]) -> TurnRow:
    """The version marked as shown; the newest where several are marked or none is."""
    return max(versions, key=lambda row: (row.is_shown, row.id))


def siblings(session: Session, row: TurnRow) -> list[TurnRow]:
    """All versions of a turn, itself among them, oldest first."""
    return list(session.scalars(select(TurnRow).where(*_beside(row)).order_by(TurnRow.id)))


def turn_with_versions(session: Session, row: TurnRow) -> Turn:
    """A row that stands alone as a value; of its versions only the ids are read."""
    return turn_of(row, session.scalars(select(TurnRow.id).where(*_beside(row)).order_by(TurnRow.id)).all())


def _beside(row: TurnRow) -> tuple[ColumnElement[bool], ...]:
    return (
        TurnRow.conversation_id == row.conversation_id,
        TurnRow.parent_id.is_not_distinct_from(row.parent_id),
    )


def turn_of(row: TurnRow, version_ids: Sequence[int]) -> Turn:
    """A row as a value. `version_ids` are those of all turns under its parent, oldest first."""
    return Turn(
        id=row.id,
        conversation_id=row.conversation_id,
        parent_id=row.parent_id,
        role=cast(Role, row.role),
        text=row.text,
        images=tuple(ImageRef(use.sha256, use.picture.width, use.picture.height) for use in row.pictures),
        created_at=row.created_at,
        version=1 + version_ids.index(row.id),
        num_versions=len(version_ids),
        **({} if row.answer is None else _judged(row.answer)),
    )


def _judged(row: AnswerRow) -> dict[str, Any]:
    """What only answers have."""
    return {
        "answer": _details(row),
        "rating": cast("Rating | None", row.rating),
        "reasons": reasons_of(row.reasons),
        "note": row.note,
        "correction": row.correction,
        "state": cast(ReviewState, row.state),
    }


def _details(row: AnswerRow) -> AnswerDetails:
    return AnswerDetails(
        model=row.model,
        template=row.template,
        system_prompt=row.system_prompt,
        temperature=row.temperature,
        top_p=row.top_p,
        max_new_tokens=row.max_new_tokens,
        seed=row.seed,
        finish_reason=cast(FinishReason, row.finish_reason),
        error=row.error,
        num_prompt_tokens=row.num_prompt_tokens,
        num_completion_tokens=row.num_completion_tokens,
        first_token_ms=row.first_token_ms,
        duration_ms=row.duration_ms,
    )

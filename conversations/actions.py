"""Who did what and when, and how it is taken back.

An action on answers keeps, for each of them, what was there before and what it was set to. Taking it back restores
what was before, but only where nothing else was decided since: an undo that overwrote a colleague's later decision
would be a second mistake. What was decided since is told by the trail and not by the value, which may have come back
to the same by other hands.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from conversations.tables import ActionItemRow, ActionRow


@dataclass(frozen=True, slots=True)
class Action:
    """A line of the trail. `kind` is rate, correct, state, tag, untag, keep_one, private, delete, import or export;
    `value` what was set, `about` what it was done to (filters, or a conversation)."""

    id: int
    actor: str
    kind: str
    value: Any
    about: Mapping[str, Any]
    num_answers: int
    done_at: datetime
    undone_at: datetime | None


def record(
    session: Session,
    actor: str,
    kind: str,
    value: Any,
    about: Mapping[str, Any],
    items: Iterable[tuple[int, Any, Any]] = (),
) -> ActionRow:
    """Write an action down, with (turn id, before, after) for each answer that it changed."""
    row = ActionRow(
        actor=actor,
        kind=kind,
        value=as_json(value),
        about=as_json(about),
        num_answers=0,
        done_at=datetime.now(UTC),
    )
    session.add(row)
    session.flush()
    add_items(session, row, items)
    return row


def add_items(session: Session, action: ActionRow, items: Iterable[tuple[int, Any, Any]]) -> None:
    rows = [
        {
            "action_id": action.id,
            "turn_id": turn_id,
            "before": as_json(before),
            "after": as_json(after),
        }
        for turn_id, before, after in items
    ]
    if rows:
        session.execute(insert(ActionItemRow), rows)
        action.num_answers += len(rows)


def trail(
    session: Session, *, turn_id: int | None = None, before: int | None = None, limit: int = 50
) -> list[Action]:
    """Newest first; of one answer, if it is named. `before` is the id of the last action of the page before."""
    query = select(ActionRow).order_by(ActionRow.id.desc()).limit(max(0, min(limit, 500)))
    if before is not None:
        query = query.where(ActionRow.id < before)
    if turn_id is not None:
        items = select(ActionItemRow.action_id).where(ActionItemRow.turn_id == turn_id)
        query = query.where(ActionRow.id.in_(items))
    return [action_of(row) for row in session.scalars(query)]


_DECIDED_TOGETHER: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("state", "keep_one"), ("state", "keep_one")),
    "rate": ("rate",),
    "correct": ("correct",),
}
"""By an action's kind those that set the same thing of an answer."""


def decided_since(session: Session, action_id: int, kind: str, turn_ids: Sequence[int]) -> set[int]:
    """Those of the answers of which the same thing was decided after this action. What was taken back is none:
    neither the later action nor its undo counts where it was."""
    query = (
        select(ActionItemRow.turn_id, ActionRow.id, ActionRow.kind, ActionRow.value)
        .join(ActionRow, ActionRow.id == ActionItemRow.action_id)
        .where(
            ActionItemRow.turn_id.in_(turn_ids),
            ActionItemRow.action_id > action_id,
            ActionRow.kind.in_((*_DECIDED_TOGETHER[kind], "undo")),
        )
    )
    decided: set[tuple[int, int]] = set()
    taken_back: set[tuple[int, int]] = set()
    for turn_id, later_id, later_kind, value in session.execute(query):
        if later_kind == "undo":
            taken_back.add((turn_id, json.loads(value)))
        else:
            decided.add((turn_id, later_id))
    return {turn_id for turn_id, _ in decided - taken_back}


def action_of(row: ActionRow) -> Action:
    return Action(
        id=row.id,
        actor=row.actor,
        kind=row.kind,
        value=json.loads(row.value),
        about=json.loads(row.about),
        num_answers=row.num_answers,
        done_at=row.done_at,
        undone_at=row.undone_at,
    )


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

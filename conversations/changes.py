"""Decisions about answers, set and given back: a state, or tags.

Rows are locked first, in the order of their ids, so that two reviewers who change the same answers at the same moment
wait for each other (SQLite has one writer anyway).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from conversations import feedback, review
from conversations.actions import decided_since
from conversations.reasons import bits_of
from conversations.tables import ActionItemRow, AnswerRow, AnswerTagRow, TurnRow

Change = tuple[int, Any, Any]
"""An answer's id, what was there before, and what is there now."""


def change(session: Session, turn_ids: Sequence[int], kind: str, value: Any) -> Iterator[Change]:
    """Set it, and give those that it changed. `kind` is state, tags (these and no others), tag or untag."""
    there = sorted(_locked(session, turn_ids))
    if kind == "state":
        query = select(AnswerRow.turn_id, AnswerRow.state).where(AnswerRow.turn_id.in_(there))
        befores: Mapping[int, Any] = dict(session.execute(query).all())
        afters: Mapping[int, Any] = dict.fromkeys(there, value)
        changed = [turn_id for turn_id in there if befores[turn_id] != value]
        session.execute(update(AnswerRow).where(AnswerRow.turn_id.in_(changed)).values(state=value))
    else:
        befores = review.tags_on(session, there)
        afters = {turn_id: _tags_after(befores[turn_id], kind, value) for turn_id in there}
        changed = [turn_id for turn_id in there if befores[turn_id] != afters[turn_id]]
        _set_tags(session, {turn_id: afters[turn_id] for turn_id in changed})
    for turn_id in changed:
        yield turn_id, befores[turn_id], afters[turn_id]


def restored(session: Session, action_id: int, kind: str, batch: Sequence[ActionItemRow]) -> Iterator[Change]:
    """Give back what was before, unless something else was decided since or the answer became private. Of tags
    those that the action added go and those that it took come back, whatever others were set since."""
    rows = _locked(session, [item.turn_id for item in batch])
    there = [item for item in batch if item.turn_id in rows and not rows[item.turn_id].is_private]
    if kind in ("tags", "tag", "untag"):
        yield from _tags_restored(session, there)
        return
    later = decided_since(session, action_id, kind, [item.turn_id for item in there])
    for item in there:
        answer, before, after = rows[item.turn_id], json.loads(item.before), json.loads(item.after)
        now = _now(answer, kind)
        if item.turn_id not in later and now == after:
            _give_back(session, answer, kind, before)
            yield item.turn_id, now, before


def _now(answer: AnswerRow, kind: str) -> Any:
    """What an action of this kind sets."""
    if kind == "rate":
        return feedback.rated(answer)
    return answer.correction if kind == "correct" else answer.state


def _give_back(session: Session, answer: AnswerRow, kind: str, before: Any) -> None:
    if kind == "rate":
        answer.rating, answer.note = before["rating"], before["note"]
        answer.reasons = bits_of(before["reasons"])
    elif kind == "correct":
        feedback.set_correction(session, session.get_one(TurnRow, answer.turn_id), answer, before)
    else:
        answer.state = before


def _locked(session: Session, turn_ids: Sequence[int]) -> dict[int, AnswerRow]:
    """Those that are still there."""
    query = select(AnswerRow).where(AnswerRow.turn_id.in_(turn_ids)).order_by(AnswerRow.turn_id)
    rows = session.scalars(query.with_for_update().execution_options(populate_existing=True))
    return {row.turn_id: row for row in rows}


def _tags_restored(session: Session, batch: Sequence[ActionItemRow]) -> Iterator[Change]:
    now = review.tags_on(session, [item.turn_id for item in batch])
    given: dict[int, tuple[str, ...]] = {}
    for item in batch:
        before, after = set(json.loads(item.before)), set(json.loads(item.after))
        tags = tuple(sorted((set(now[item.turn_id]) - (after - before)) | (before - after)))
        if tags != now[item.turn_id]:
            given[item.turn_id] = tags
    _set_tags(session, given)
    for turn_id, tags in given.items():
        yield turn_id, now[turn_id], tags


def _tags_after(before: Sequence[str], kind: str, value: Any) -> tuple[str, ...]:
    if kind == "tags":
        return tuple(value)
    if kind == "tag":
        return tuple(sorted({*before, value}))
    return tuple(tag for tag in before if tag != value)


def _set_tags(session: Session, tags: Mapping[int, Sequence[str]]) -> None:
    session.execute(delete(AnswerTagRow).where(AnswerTagRow.turn_id.in_(tags)))
    rows = [{"turn_id": turn_id, "tag": tag} for turn_id, some in tags.items() for tag in some]
    if rows:
        session.execute(insert(AnswerTagRow), rows)

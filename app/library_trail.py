"""Who did what and when, in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from html import escape

from app.visitors import username_of
from conversations.actions import Action

_STATES = {"approved": "approved", "rejected": "rejected", "pending": "reopened"}
_UNDOABLE = ("state", "tags", "tag", "untag", "keep_one", "rate", "correct")


def person(owner: str, me: str = "") -> str:
    """A name to show: nobody's cookie is told."""
    if owner == me:
        return "you"
    if owner.startswith("visitor:"):
        return f"visitor {owner.removeprefix('visitor:')[:4]}"
    return username_of(owner) or owner


def moment(time: datetime) -> str:
    """In the time of the machine that serves the page, with the zone on hover."""
    here = time.astimezone()
    return (
        f'<time datetime="{here.isoformat()}" title="{here:%Y-%m-%d %H:%M:%S %Z}">{here:%-d %b %H:%M}</time>'
    )


def deed(action: Action) -> str:
    """What was done, as the end of a sentence that begins with who did it."""
    value, many = action.value, f"{action.num_answers:,} answers" if action.num_answers != 1 else "1 answer"
    if action.kind == "state":
        return f"{_STATES[value]} {many}"
    if action.kind == "rate":
        return {"up": "rated it up", "down": "rated it down"}.get(value, "took a rating back")
    if action.kind == "correct":
        return "wrote the right answer" if value else "took a correction back"
    if action.kind == "tags":
        return f"set the tags of {many} to {', '.join(value) or 'none'}"
    if action.kind in ("tag", "untag"):
        return f"{'added' if action.kind == 'tag' else 'removed'} the tag {value} on {many}"
    if action.kind == "keep_one":
        return f"kept one of {action.num_answers + 1} near-duplicates"
    if action.kind == "undo":
        return f"took back an action on {many}"
    if action.kind == "private":
        return "made a conversation private" if value else "made a conversation public again"
    if action.kind == "export":
        rows = f"{value:,} rows" if value != 1 else "1 row"
        form = action.about.get("format")
        return f"exported {rows} as {form}" if form else f"exported {rows}"
    if action.kind == "import":
        return f"imported {value} conversations" if value != 1 else "imported a conversation"
    return f"{action.kind}d a conversation" if action.kind == "delete" else action.kind


def can_undo(action: Action) -> bool:
    return action.kind in _UNDOABLE and action.undone_at is None and action.num_answers > 0


def trail_html(
    actions: Sequence[Action], me: str, *, may_undo: Callable[[str], bool] = lambda actor: False
) -> str:
    """One line an action, newest first, with a button where it can be taken back and `may_undo` allows it for who did
    it."""
    if not actions:
        return '<p class="faint">Nothing was done yet.</p>'
    return (
        f'<ul class="trail">{"".join(_line(action, me, may_undo(action.actor)) for action in actions)}</ul>'
    )


def _line(action: Action, me: str, undo: bool) -> str:
    taken_back = ' <span class="faint">(taken back)</span>' if action.undone_at else ""
    button = ""
    if undo and can_undo(action):
        button = f'<button type="button" class="link" data-do="undo-action" data-action="{action.id}">Undo</button>'
    return (
        f'<li data-action="{action.id}"><b dir="auto">{escape(person(action.actor, me))}</b> '
        f"{escape(deed(action))}{taken_back} {moment(action.done_at)}{button}</li>"
    )

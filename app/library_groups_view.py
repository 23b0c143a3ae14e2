"""Near-duplicates as HTML: groups of answers of which a data set needs one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from app.library_view import picture_address
from app.tool_view import icon
from conversations.duplicates import DuplicateGroup
from conversations.review import Item


def groups_html(groups: Sequence[DuplicateGroup]) -> str:
    if not groups:
        return '<p class="faint big">No near-duplicates among the answers that the filters mean.</p>'
    return "".join(_group(group) for group in groups)


def _group(group: DuplicateGroup) -> str:
    shown = "".join(_member(item) for item in group.items)
    more = group.num_answers - len(group.items)
    rest = f'<p class="faint">And {more:,} more, which are rejected with the others.</p>' if more else ""
    return (
        f'<section class="group" data-answers="{json.dumps(list(group.turn_ids))}">'
        f"<h3>{group.num_answers} answers to close questions about the same or a close picture</h3>"
        f'<div class="members">{shown}</div>{rest}</section>'
    )


def _member(item: Item) -> str:
    picture = f'<img src="{picture_address(item, len(item.pictures) - 1)}/thumb" alt="" loading="lazy">'
    answer = item.correction if item.correction is not None else item.answer
    corrected = (
        f'<span class="sign" title="Corrected">{icon("edit")}</span>' if item.correction is not None else ""
    )
    return (
        f'<article class="member" data-answer="{item.id}" data-state="{item.state}">{picture}'
        f'<p class="asked" dir="auto">{escape(item.question)}</p>'
        f'<p class="said" dir="auto">{escape(answer)}</p><p class="row">{corrected}<span class="gap"></span>'
        f'<button type="button" class="choice" data-do="library-keep">Keep this one</button></p></article>'
    )

"""What an export would hold, before it is made: counts, the first rows as they would be written, and one row as a
trainer will see it. The code is the export's own, on the first conversations of the log."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from html import escape
from itertools import islice
from typing import Protocol

from app.library_request import ExportOrder
from app.prompt_view import facts_html, num_asked, tokens_html
from app.worker_values import ModelPrompt
from conversations.errors import NotFound, PictureMissing
from conversations.export import items
from conversations.formats.format import num_answers
from conversations.manifest import REASONS, Tally
from conversations.messages import Message
from conversations.preview import PreviewRow, learned, preview
from conversations.selection import SIDES
from conversations.store import ConversationStore

MAX_LOOKED_AT = 2_000
"""Conversations counted: half a second's work, so that the numbers follow the filters."""

ROWS_SHOWN = 3
SECONDS = 20.0


class ShowsPrompts(Protocol):
    """The part of WorkerClient that is needed here."""

    def prompt(
        self, messages: Sequence[Message], *, model: str, system_prompt: str | None, timeout_seconds: float
    ) -> ModelPrompt: ...


@dataclass(frozen=True, slots=True)
class Expected:
    """`whole`: every conversation was looked at, so the numbers are those of the export."""

    tally: Tally
    whole: bool


def expected(store: ConversationStore, order: ExportOrder, most: int = MAX_LOOKED_AT) -> Expected:
    """The counts of the export that would be made, from the first `most` conversations."""
    tally = Tally()
    pictures: set[str] = set()
    with closing(store.reader.conversations(order.selection.filters)) as conversations:
        some = islice(conversations, most)
        for side, item in items(some, order.format, order.selection, tally, order.options):
            tally.num_rows[side] += 1
            tally.num_answers += num_answers(item)
            pictures.update(item.pictures)
        whole = next(conversations, None) is None
    tally.num_pictures = len(pictures)
    return Expected(tally, whole)


def rows(store: ConversationStore, order: ExportOrder, start: int, count: int) -> list[PreviewRow]:
    """Rows `start` and following of it."""
    with closing(store.reader.conversations(order.selection.filters)) as conversations:
        return preview(
            conversations,
            store.images,
            order.format,
            order.selection,
            options=order.options,
            start=start,
            count=count,
        )


def counts_html(found: Expected) -> str:
    """How many rows on each side, and what is left out and why."""
    tally = found.tally
    about = "" if found.whole else f" of the first {tally.num_conversations:,} conversations"
    total = tally.num_rows.total()
    sides = "".join(
        f'<span class="side-count" data-side="{side}"><b>{tally.num_rows[side]:,}</b> {side}</span>'
        for side in SIDES
    )
    left_out = "".join(
        f"<li><b>{number:,}</b> {escape(REASONS[reason])}</li>"
        for reason, number in sorted(tally.left_out.items())
    )
    shortened = tally.shortened.total()
    short = f"<li><b>{shortened:,}</b> only up to the answer before a bad one</li>" if shortened else ""
    without = f'<p class="faint">Left out or shortened</p><ul class="left-out">{left_out}{short}</ul>'
    rows_word = "row" if total == 1 else "rows"
    without = f'<p class="faint">Left out or shortened</p><ul class="left-out">{left_out}{short}</ul>'
    rows_word = "row" if total == 1 else "rows"
    return (
        f'<p class="total"><b>{total:,}</b> {rows_word}{about}, {tally.num_answers:,} answers, '
        f'{tally.num_pictures:,} pictures</p><p class="sides">{sides}</p>'
        + (without if left_out + short else "")
    )


def rows_html(store: ConversationStore, found: Sequence[PreviewRow]) -> str:
    """The first rows as they would stand in the file, with their pictures."""
    if not found:
        return '<p class="faint big">Nothing would be exported. Approve, correct, or widen the filters.</p>'
    return "".join(_row(store, row, number) for number, row in enumerate(found, start=1))


def _row(store: ConversationStore, row: PreviewRow, number: int) -> str:
    shown = "".join(f'<img src="{address}" alt="">' for address in _thumbnails(store, row.item.pictures))
    written = escape(json.dumps(row.row, ensure_ascii=False, indent=2))
    return (
        f'<article class="row-shown" data-number="{number}"><p class="row"><b>Row {number}</b><span class="faint">'
        f'{row.side}</span><span class="gap"></span>'
        f'<button type="button" class="choice" data-do="export-check" data-needs="prompt">Check</button></p>'
        f'<div class="row-body"><div class="thumbs">{shown}</div><pre dir="auto" tabindex="0">{written}</pre></div>'
        "</article>"
    )


def check_html(store: ConversationStore, worker: ShowsPrompts, order: ExportOrder, number: int) -> str:
    """Row `number`, from 1, token by token, what is learned tinted. Raises NotFound, WorkerError."""
    found = rows(store, order, number - 1, 1)
    if not found:
        raise NotFound(f"There is no row {number} in this export; look at its counts again.")
    item = found[0].item
    parts = []
    for name, messages in learned(item):
        prompt = worker.prompt(messages, model="", system_prompt=item.system or None, timeout_seconds=SECONDS)
        if name != "example":  # the answers before are context
            start = num_asked(prompt)
            mask = tuple(learnt and place >= start for place, learnt in enumerate(prompt.mask))
            prompt = replace(prompt, mask=mask)
        pictures = _thumbnails(store, [image.sha256 for message in messages for image in message.images])
        heading = f"<h3>{name.capitalize()}</h3>" if name != "example" else ""
        parts.append(heading + facts_html(prompt, len(pictures)) + tokens_html(prompt, pictures))
    return "".join(parts)


def _thumbnails(store: ConversationStore, sha256s: Sequence[str]) -> list[str]:
    """Small pictures, in the page itself: by its name alone nobody gets somebody else's picture."""
    shown = []
    for sha256 in sha256s:
        try:
            data = store.images.thumbnail(sha256).read_bytes()
        except (PictureMissing, FileNotFoundError):
            data = b""
        shown.append(f"data:image/jpeg;base64,{base64.b64encode(data).decode()}")
    return shown

"""A look at single rows of an export before it is made: what would be written, and what a reader makes of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from conversations.examples import Example, Item, LoggedConversation, Preference
from conversations.export import items
from conversations.formats.format import Format, Options, Row
from conversations.formats.picture_files import PictureFiles
from conversations.image_store import ImageStore
from conversations.manifest import Tally
from conversations.messages import ImageRef, Message
from conversations.selection import Selection, Side


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """`row` is the one of the format's first file, with pictures' bytes as their number. `item` was read back from
    it, so it is what a reader gets and not what was meant."""

    side: Side
    item: Item
    row: Row


def preview(
    conversations: Iterable[LoggedConversation],
    images: ImageStore,
    format: Format,
    selection: Selection,
    *,
    options: Options | None = None,
    start: int = 0,
    count: int = 3,
) -> list[PreviewRow]:
    """Rows `start` and following of the export that would be made, counted over all sides; fewer at its end."""
    if not 0 <= start < sys.maxsize - count:
        return []
    pictures = PictureFiles(images, None)
    all_items = items(conversations, format, selection, Tally(), options)
    there = ((side, item) for side, item in all_items if not pictures.take(item.pictures))
    found = list(islice(there, start, start + count))
    kind = format.files[0]
    rows = [(side, kind.row(item, pictures)) for side, item in found]
    return [
        PreviewRow(side, kind.item(row, lambda name: ImageRef(Path(name).stem)), _without_bytes(row))
        for side, row in rows
    ]


def learned(item: Item) -> list[tuple[str, tuple[Message, ...]]]:
    """The conversations that a trainer makes of an item, each with what it is to it; in all but an example only the
    last answer is learned."""
    if isinstance(item, Example):
        return [("example", item.messages)]
    if isinstance(item, Preference):
        texts = [("chosen", item.chosen), ("rejected", item.rejected)]
    else:
        texts = [("wanted" if item.wanted else "unwanted", item.completion)]
    return [(name, (*item.prompt, Message("assistant", (text,)))) for name, text in texts]


def _without_bytes(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, dict):
        return {key: _without_bytes(each) for key, each in value.items()}
    return [_without_bytes(each) for each in value] if isinstance(value, list) else value

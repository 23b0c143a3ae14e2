"""Axolotl's multimodal chat rows: typed blocks, a picture by its path.

    {"messages": [{"role": "user", "content": [{"type": "image", "path": "images/<sha256>.jpg"},
                                               {"type": "text", "text": "What is this?"}]}, …], "id": "…"}

one object a line. Paths are relative, so that the folder can be moved and the same export gives the same bytes;
`axolotl train` is started in that folder. Rows have no `images`: where that column is there, Axolotl's processing
drops the second picture and fails on an empty list.
"""

from __future__ import annotations

from typing import Any

from conversations.escaping import restore
from conversations.examples import Example
from conversations.formats.contents import (
    IMAGE_FOLDER,
    alternating,
    checked_rows,
    checked_text,
    short,
    text_block,
)
from conversations.formats.format import Format, PictureOf, Pictures, Row, RowError, RowKind
from conversations.messages import ImageRef, Message


def row_of(example: Example, pictures: Pictures) -> Row:
    """One line of the file."""
    rows: list[Row] = [
        {
            "role": message.role,
            "content": [
                {"type": "image", "path": f"{IMAGE_FOLDER}/{pictures.name(part.sha256)}"}
                if isinstance(part, ImageRef)
                else text_block(part)
                for part in message.content
            ],
        }
        for message in example.messages
    ]
    if example.system:
        rows.insert(0, {"role": "system", "content": [text_block(example.system)]})
    return {"id": example.id, "messages": rows}


def example_of(row: Any, picture: PictureOf) -> Example:
    """The example of a line. Raises RowError."""
    if not isinstance(row, dict):
        raise RowError("", f"must be an object, not {short(row)}")
    system, messages = "", []
    for number, entry in enumerate(checked_rows(row.get("messages"), "messages")):
        field = f"messages[{number}]"
        blocks = checked_rows(entry.get("content"), f"{field}.content")
        parts = tuple(
            _part(block, f"{field}.content[{place}]", picture) for place, block in enumerate(blocks)
        )
        role = entry.get("role")
        if role == "system" and number == 0:
            system = "\n".join(part for part in parts if isinstance(part, str))
        elif role in ("user", "assistant"):
            messages.append(Message(role, parts))
        else:
            raise RowError(f"{field}.role", f"cannot be {short(role)}; it is user or assistant")
    return Example(checked_text(row.get("id", ""), "id"), alternating(messages, "messages"), system)


def _part(block: Row, field: str, picture: PictureOf) -> str | ImageRef:
    match block.get("type"):
        case "text":
            return restore(checked_text(block.get("text"), f"{field}.text"))
        case "image":
            path = checked_text(block.get("path"), f"{field}.path")
            return picture(path.removeprefix(f"{IMAGE_FOLDER}/"))
        case other:
            raise RowError(f"{field}.type", f"cannot be {short(other)}; it is text or image")


AXOLOTL = Format(
    name="axolotl",
    kind="example",
    files=(RowKind(".jsonl", "lines", row_of, example_of),),
    read_by="Axolotl",
)

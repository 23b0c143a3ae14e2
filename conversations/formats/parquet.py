"""Parquet with the pictures inside, for `datasets` and TRL:

    id: text, messages: [{role, content: [{type, text}]}], images: [{bytes, path}]

Content is typed blocks: with one text TRL puts all pictures on the first question, wherever they belong. An image
block has no text, and takes the next of `images`. The file says by itself that `images` holds pictures (the
`huggingface` metadata that `datasets` writes), so that `load_dataset` decodes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conversations.escaping import restore
from conversations.examples import Example
from conversations.formats.contents import alternating, checked_rows, checked_text, short, text_block
from conversations.formats.format import Columns, Format, PictureOf, Pictures, Row, RowError, RowKind
from conversations.messages import ImageRef, Message

COLUMNS: Columns = {"id": "text", "messages": "messages", "images": "pictures"}


def row_of(example: Example, pictures: Pictures) -> Row:
    """One row of the table."""
    return {
        "id": example.id,
        "messages": block_messages(example.messages, example.system),
        "images": picture_structs(example.pictures, pictures),
    }


def block_messages(messages: Sequence[Message], system: str = "") -> list[Row]:
    rows: list[Row] = [{"role": "system", "content": [text_block(system)]}] if system else []
    return rows + [
        {
            "role": message.role,
            "content": [
                {"type": "image", "text": None} if isinstance(part, ImageRef) else text_block(part)
                for part in message.content
            ],
        }
        for message in messages
    ]


def picture_structs(sha256s: Sequence[str], pictures: Pictures) -> list[Row]:
    """Bytes and name: a path alone could not be opened from elsewhere."""
    return [{"bytes": pictures.data(sha256), "path": pictures.name(sha256)} for sha256 in sha256s]


def example_of(row: Any, picture: PictureOf) -> Example:
    """The example of a row. `picture` gets the name only. Raises RowError."""
    system, messages = messages_of(row, "messages", images_of(row, picture))
    return Example(checked_text(row.get("id"), "id"), alternating(messages, "messages"), system)


def images_of(row: Row, picture: PictureOf) -> list[ImageRef]:
    """The pictures of a row."""
    structs = row.get("images")
    if not isinstance(structs, list):
        raise RowError("images", f"must be a list, not {short(structs)}")
    return [picture(checked_text(one.get("path"), f"images[{n}].path")) for n, one in enumerate(structs)]


def messages_of(row: Row, name: str, images: Sequence[ImageRef]) -> tuple[str, list[Message]]:
    """The system text and the messages of a column. Raises RowError."""
    waiting = iter(images)
    system, messages = "", []
    for number, entry in enumerate(checked_rows(row.get(name), name)):
        field = f"{name}[{number}]"
        parts: list[str | ImageRef] = []
        for place, block in enumerate(checked_rows(entry.get("content"), f"{field}.content")):
            if block.get("type") == "text":
                parts.append(restore(checked_text(block.get("text"), f"{field}.content[{place}].text")))
            elif (ref := next(waiting, None)) is not None:
                parts.append(ref)
            else:
                raise RowError(f"{field}.content[{place}]", "is a picture more than there are in images")
        role = entry.get("role")
        if role == "system" and number == 0:
            system = "\n".join(part for part in parts if isinstance(part, str))
        elif role in ("user", "assistant"):
            messages.append(Message(role, tuple(parts)))
        else:
            raise RowError(f"{field}.role", f"cannot be {short(role)}; it is user or assistant")
    return system, messages


PARQUET = Format(
    name="parquet",
    kind="example",
    files=(RowKind(".parquet", "parquet", row_of, example_of, COLUMNS),),
    read_by="TRL, datasets",
    links_pictures=False,
)

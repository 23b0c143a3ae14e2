"""One file for LLaMA-Factory and ms-swift:

    {"messages": [{"role": "user", "content": "<image>\\nWhat is this?"}, {"role": "assistant", "content": "A cat."}],
     "images": ["images/<sha256>.jpg"], "id": "…"}

one object a line. `images` is always there, empty for text alone, so that every row has the same columns.
LLaMA-Factory finds the file by `dataset_info.json` and the pictures relative to its folder; ms-swift finds the
pictures relative to the folder in which it is started, or to ROOT_IMAGE_DIR.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from conversations.escaping import escape, restore
from conversations.examples import Example
from conversations.formats.contents import (
    IMAGE_FOLDER,
    alternating,
    checked_rows,
    checked_text,
    from_marked_text,
    marked_text,
    picture_list,
    short,
)
from conversations.formats.format import Format, PictureOf, Pictures, Row, RowError, RowKind
from conversations.messages import ImageRef, Message, Role

TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}


def row_of(example: Example, pictures: Pictures) -> Row:
    """One line of the file."""
    return {
        "id": example.id,
        "messages": message_rows(example.system, example.messages),
        "images": image_paths(example, pictures),
    }


def message_rows(system: str, messages: Sequence[Message]) -> list[Row]:
    rows = [{"role": message.role, "content": marked_text(message.content)} for message in messages]
    return [{"role": "system", "content": escape(system)}, *rows] if system else rows


def image_paths(item: Any, pictures: Pictures) -> list[str]:
    """Relative to the folder of the export."""
    return [f"{IMAGE_FOLDER}/{pictures.name(sha256)}" for sha256 in item.pictures]


def example_of(row: Any, picture: PictureOf) -> Example:
    """The example of a line. Raises RowError."""
    if not isinstance(row, dict):
        raise RowError("", f"must be an object, not {short(row)}")
    system, messages = messages_of(row, picture)
    return Example(checked_text(row.get("id", ""), "id"), alternating(messages, "messages"), system)


def messages_of(row: Row, picture: PictureOf) -> tuple[str, list[Message]]:
    """The system text, "" where there is none, and the messages of a row. Raises RowError."""
    images = picture_list(row.get("images"), "images", lambda name: picture(_base_name(name)))
    waiting = iter(images)
    system, messages = "", []
    for number, entry in enumerate(checked_rows(row.get("messages"), "messages")):
        field = f"messages[{number}]"
        content = checked_text(entry.get("content"), f"{field}.content")
        role = entry.get("role")
        if role == "system" and number == 0:
            system = restore(content)
        elif role in ("user", "assistant"):
            messages.append(_message(role, content, waiting, field))
        else:
            raise RowError(f"{field}.role", f"cannot be {short(role)}; it is user or assistant")
    if (left := len(list(waiting))) > 0:
        raise RowError("images", f"holds {left} pictures more than there are marks")
    return system, messages


def _message(role: Role, content: str, waiting: Iterator[ImageRef], field: str) -> Message:
    if role == "assistant":
        return Message(role, (restore(content),) if content else ())
    try:
        return Message(role, from_marked_text(content, waiting))
    except RowError as error:
        raise RowError(f"{field}.content", error.sentence) from error


def _base_name(path: str) -> str:
    return path.removeprefix(f"{IMAGE_FOLDER}/")


def dataset_info(sides: Sequence[str], ending: str = ".jsonl", **more: object) -> Mapping[str, object]:
    """LLaMA-Factory's list of data sets (data/README.md of its repository): one entry a side."""
    columns = {"messages": "messages", "images": "images"}
    extra = more.pop("columns", {})
    assert isinstance(extra, dict)
    entry = {"formatting": "sharegpt", **more, "columns": {**columns, **extra}, "tags": TAGS}
    return {
        "dataset_info.json": {f"chatlog_{side}": {"file_name": f"{side}{ending}", **entry} for side in sides}
    }


MESSAGES = Format(
    name="messages",
    kind="example",
    files=(RowKind(".jsonl", "lines", row_of, example_of),),
    read_by="LLaMA-Factory, ms-swift",
    beside=dataset_info,
)

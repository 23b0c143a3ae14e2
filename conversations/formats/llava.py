"""LLaVA's own format, which this project's trainer and LLaVA's read:

    [{"id": "…", "image": "<sha256>.jpg", "conversations": [
        {"from": "human", "value": "<image>\\nWhat is this?"}, {"from": "gpt", "value": "A cat."}]}, …]

`image` is relative to the folder of pictures; a row without a picture has no `image`. LLaVA's trainer (train.py,
LazySupervisedDataset) knows one picture a row, and no system turn: what has more is refused. Several pictures can
be asked for; `image` is then a list, as LLaVA-NeXT-Interleave writes it.

Text is escaped with all templates' marks, since that trainer finds its labels by searching the text for them.
"""

from __future__ import annotations

from typing import Any

from conversations.escaping import escape_all, restore_all
from conversations.examples import Example
from conversations.formats.contents import (
    MARK,
    alternating,
    checked_rows,
    checked_text,
    from_marked_text,
    marked_text,
    picture_list,
    short,
)
from conversations.formats.format import Format, Options, PictureOf, Pictures, Row, RowError, RowKind
from conversations.messages import ImageRef, Message, Role

_SPEAKERS = {"user": "human", "assistant": "gpt"}
_ROLES: dict[str, Role] = {"human": "user", "gpt": "assistant", "user": "user", "assistant": "assistant"}


def row_of(example: Example, pictures: Pictures) -> Row:
    """One record of the file."""
    row: Row = {"id": example.id}
    names = [pictures.name(sha256) for sha256 in example.pictures]
    if names:
        row["image"] = names[0] if len(names) == 1 else names
    row["conversations"] = [
        {"from": _SPEAKERS[message.role], "value": marked_text(message.content, escape_all)}
        for message in example.messages
    ]
    return row


def example_of(row: Any, picture: PictureOf) -> Example:
    """The example of a record, our own or somebody else's. Raises RowError.

    A picture without any mark stands before the first question, where LLaVA's data has it. A system turn, which
    LLaVA's data does not have, is read where it comes first.
    """
    if not isinstance(row, dict):
        raise RowError("", f"must be an object, not {short(row)}")
    turns = checked_rows(row.get("conversations"), "conversations")
    images = _images(row, picture)
    waiting = iter(images)
    system, messages = "", []
    for number, turn in enumerate(turns):
        field = f"conversations[{number}]"
        speaker = checked_text(turn.get("from"), f"{field}.from")
        value = checked_text(turn.get("value"), f"{field}.value")
        if speaker == "system" and number == 0:
            system = restore_all(value)
            continue
        if speaker not in _ROLES:
            raise RowError(f"{field}.from", f"cannot be {short(speaker)}; it is human or gpt")
        if _ROLES[speaker] == "assistant":
            messages.append(Message("assistant", (restore_all(value),) if value else ()))
            continue
        try:
            messages.append(Message("user", from_marked_text(value, waiting, restore_all)))
        except RowError as error:
            raise RowError(f"{field}.value", error.sentence) from error
    return Example(_id(row), _with_unmarked(alternating(messages, "conversations"), images), system)


def _images(row: Row, picture: PictureOf) -> list[ImageRef]:
    value = row.get("image")
    return [picture(value)] if isinstance(value, str) else picture_list(value, "image", picture)


def _with_unmarked(messages: tuple[Message, ...], images: list[ImageRef]) -> tuple[Message, ...]:
    """Pictures for which no mark stood, put first; where only some have a mark, nobody knows which: RowError."""
    num_marked = sum(len(message.images) for message in messages)
    if num_marked == len(images):
        return messages
    if num_marked:
        raise RowError(
            "image", f"holds {len(images)} pictures for {num_marked} marks {MARK}; give as many of each"
        )
    return (Message("user", (*images, *messages[0].content)), *messages[1:])


def _id(row: Row) -> str:
    value = row.get("id", "")
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise RowError("id", f"must be a text or a number, not {short(value)}")
    return str(value)


def refusal(example: Example, options: Options) -> str | None:
    if example.system:
        return "system_prompt"
    return "several_pictures" if len(example.pictures) > 1 and not options.several_pictures else None


LLAVA = Format(
    name="llava",
    kind="example",
    files=(RowKind(".json", "array", row_of, example_of),),
    read_by="this project's trainer, LLaVA",
    refusal=refusal,
)

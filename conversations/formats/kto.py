"""Single answers, each wanted or not (KTO), in two files a side:

train.parquet   TRL                        prompt, completion as typed blocks, label; pictures inside
train.jsonl     LLaMA-Factory, ms-swift    messages with the answer, and label
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from conversations.examples import Verdict
from conversations.formats.contents import alternating, checked_text, short
from conversations.formats.format import Columns, Format, PictureOf, Pictures, Row, RowError, RowKind
from conversations.formats.messages import dataset_info, image_paths, message_rows, messages_of
from conversations.formats.parquet import block_messages, images_of, picture_structs
from conversations.formats.parquet import messages_of as block_messages_of
from conversations.formats.preference import answer_blocks, answer_of
from conversations.messages import Message

COLUMNS: Columns = {
    "id": "text",
    "prompt": "messages",
    "completion": "messages",
    "label": "flag",
    "images": "pictures",
}


def trl_row_of(item: Verdict, pictures: Pictures) -> Row:
    return {
        "id": item.id,
        "prompt": block_messages(item.prompt, item.system),
        "completion": [answer_blocks(item.completion)],
        "label": item.wanted,
        "images": picture_structs(item.pictures, pictures),
    }


def messages_row_of(item: Verdict, pictures: Pictures) -> Row:
    answer = Message("assistant", (item.completion,))
    return {
        "id": item.id,
        "messages": message_rows(item.system, (*item.prompt, answer)),
        "label": item.wanted,
        "images": image_paths(item, pictures),
    }


def of_trl_row(row: Any, picture: PictureOf) -> Verdict:
    """Raises RowError."""
    system, prompt = block_messages_of(row, "prompt", images_of(row, picture))
    return Verdict(
        checked_text(row.get("id"), "id"),
        alternating(prompt, "prompt", last="user"),
        answer_of(row, "completion"),
        _label(row),
        system,
    )


def of_messages_row(row: Any, picture: PictureOf) -> Verdict:
    """Raises RowError."""
    if not isinstance(row, dict):
        raise RowError("", f"must be an object, not {short(row)}")
    system, messages = messages_of(row, picture)
    *prompt, answer = alternating(messages, "messages")
    return Verdict(checked_text(row.get("id", ""), "id"), tuple(prompt), answer.text, _label(row), system)


def _label(row: Row) -> bool:
    label = row.get("label")
    if not isinstance(label, bool):
        raise RowError("label", f"must be true or false, not {short(label)}")
    return label


def _beside(sides: Sequence[str]) -> Mapping[str, object]:
    return dataset_info(sides, columns={"kto_tag": "label"})


KTO = Format(
    name="kto",
    kind="verdict",
    files=(
        RowKind(".parquet", "parquet", trl_row_of, of_trl_row, COLUMNS),
        RowKind(".jsonl", "lines", messages_row_of, of_messages_row),
    ),
    read_by="TRL, LLaMA-Factory, ms-swift (KTO)",
    beside=_beside,
)

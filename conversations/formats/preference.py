"""Two answers of which one is better (DPO and its kin), in three files a side, since no two trainers read the same:

    train.parquet            TRL          prompt, chosen, rejected as typed blocks, pictures inside
    train.json               LLaMA-Factory   messages up to the question, chosen and rejected as messages
    train.ms-swift.jsonl     ms-swift     messages with the better answer, and rejected_response

Each holds the same rows in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from conversations.escaping import escape, restore
from conversations.examples import Preference
from conversations.formats.contents import alternating, checked_text, short, text_block
from conversations.formats.format import Columns, Format, PictureOf, Pictures, Row, RowError, RowKind
from conversations.formats.messages import dataset_info, image_paths, message_rows, messages_of
from conversations.formats.parquet import block_messages, images_of, picture_structs
from conversations.formats.parquet import messages_of as block_messages_of
from conversations.messages import Message

COLUMNS: Columns = {
    "id": "text",
    "prompt": "messages",
    "chosen": "messages",
    "rejected": "messages",
    "images": "pictures",
}


def trl_row_of(item: Preference, pictures: Pictures) -> Row:
    return {
        "id": item.id,
        "prompt": block_messages(item.prompt, item.system),
        "chosen": [answer_blocks(item.chosen)],
        "rejected": [answer_blocks(item.rejected)],
        "images": picture_structs(item.pictures, pictures),
    }


def llama_factory_row_of(item: Preference, pictures: Pictures) -> Row:
    return {
        "id": item.id,
        "messages": message_rows(item.system, item.prompt),
        "chosen": {"role": "assistant", "content": escape(item.chosen)},
        "rejected": {"role": "assistant", "content": escape(item.rejected)},
        "images": image_paths(item, pictures),
    }


def swift_row_of(item: Preference, pictures: Pictures) -> Row:
    chosen = Message("assistant", (item.chosen,))
    return {
        "id": item.id,
        "messages": message_rows(item.system, (*item.prompt, chosen)),
        "rejected_response": escape(item.rejected),
        "images": image_paths(item, pictures),
    }


def answer_blocks(text: str) -> Row:
    return {"role": "assistant", "content": [text_block(text)]}


def of_trl_row(row: Any, picture: PictureOf) -> Preference:
    """Raises RowError."""
    system, prompt = block_messages_of(row, "prompt", images_of(row, picture))
    return Preference(
        checked_text(row.get("id"), "id"),
        alternating(prompt, "prompt", last="user"),
        answer_of(row, "chosen"),
        answer_of(row, "rejected"),
        system,
    )


def answer_of(row: Row, name: str) -> str:
    """The one answer in a column of messages. Raises RowError."""
    _, messages = block_messages_of(row, name, ())
    if len(messages) != 1 or messages[0].role != "assistant":
        raise RowError(name, "must be one answer of the assistant")
    return messages[0].text


def of_llama_factory_row(row: Any, picture: PictureOf) -> Preference:
    """Raises RowError."""
    if not isinstance(row, dict):
        raise RowError("", f"must be an object, not {short(row)}")
    system, prompt = messages_of(row, picture)
    return Preference(
        checked_text(row.get("id", ""), "id"),
        alternating(prompt, "messages", last="user"),
        _content(row, "chosen"),
        _content(row, "rejected"),
        system,
    )


def _content(row: Row, name: str) -> str:
    answer = row.get(name)
    if not isinstance(answer, dict):
        raise RowError(name, f"must be an object, not {short(answer)}")
    return restore(checked_text(answer.get("content"), f"{name}.content"))


def of_swift_row(row: Any, picture: PictureOf) -> Preference:
    """Raises RowError."""
    if not isinstance(row, dict):
        raise RowError("", f"must be an object, not {short(row)}")
    system, messages = messages_of(row, picture)
    *prompt, chosen = alternating(messages, "messages")
    rejected = restore(checked_text(row.get("rejected_response"), "rejected_response"))
    return Preference(checked_text(row.get("id", ""), "id"), tuple(prompt), chosen.text, rejected, system)


def _beside(sides: Sequence[str]) -> Mapping[str, object]:
    return dataset_info(sides, ".json", ranking=True, columns={"chosen": "chosen", "rejected": "rejected"})


PREFERENCE = Format(
    name="preference",
    kind="preference",
    files=(
        RowKind(".parquet", "parquet", trl_row_of, of_trl_row, COLUMNS),
        RowKind(".json", "array", llama_factory_row_of, of_llama_factory_row),
        RowKind(".ms-swift.jsonl", "lines", swift_row_of, of_swift_row),
    ),
    read_by="TRL, LLaMA-Factory, ms-swift (DPO)",
    beside=_beside,
)

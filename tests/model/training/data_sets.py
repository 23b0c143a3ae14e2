"""Training JSON with pictures, written for the tests of the check, and a rendering that needs no network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image
from transformers import PreTrainedTokenizerFast

from conversations.template import TEMPLATES
from model.training.config import DataSource, TrainingConfig
from model.training.recipes import config_for
from model.training.rendering import Rendering
from tests.model.tiny import tiny_tokenizer

PATCHES = 16


def rendering(config: TrainingConfig, context_tokens: int = 2048) -> Rendering:
    """As the tiny model's, by the template llava_v0."""
    tokenizer = _tokenizer()
    image_token_id = tokenizer.convert_tokens_to_ids("<image>")
    made = Rendering(TEMPLATES["llava_v0"], tokenizer, PATCHES, image_token_id, context_tokens)
    return made.for_run(config)


@cache
def _tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer()


def record(
    name: str, exchanges: Sequence[tuple[str, str]], *pictures: str, marks: int | None = None
) -> dict[str, Any]:
    """One record; the first question has a mark for each picture, or `marks` of them."""
    turns = []
    for place, (question, answer) in enumerate(exchanges):
        num_marks = (len(pictures) if marks is None else marks) if place == 0 else 0
        turns += [
            {"from": "human", "value": "<image>\n" * num_marks + question},
            {"from": "gpt", "value": answer},
        ]
    images = {"image": pictures[0] if len(pictures) == 1 else list(pictures)} if pictures else {}
    return {"id": name, **images, "conversations": turns}


def colours(first: int, count: int) -> list[dict[str, Any]]:
    """Records of a picture each, `<number>.png`, with one or two exchanges."""
    return [
        record(str(place), [("What is it?", f"Colour {place}.")] * (1 + place % 2), f"{place}.png")
        for place in range(first, first + count)
    ]


def write(folder: Path, records: Sequence[Any], name: str = "train.json", draw: bool = True) -> Path:
    """The file, and a picture for each name that a record has and that is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in records if draw else ():
        names = each.get("image", [])
        for picture in [names] if isinstance(names, str) else names:
            if not (folder / picture).exists():
                Image.new("RGB", (40, 40), (len(picture) * 20 % 256, 80, 120)).save(folder / picture)
    file = folder / name
    file.write_text(json.dumps(list(records)), encoding="utf-8")
    return file


def config_of(*files: Path | DataSource, **changes: Any) -> TrainingConfig:
    sources = tuple(file if isinstance(file, DataSource) else DataSource(str(file)) for file in files)
    return config_for("lora", "no model", sources, **{"device": "cpu", **changes})

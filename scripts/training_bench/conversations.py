"""Training JSON of mixed lengths for any model: pictures and none, short and long, in words that its tokenizer has."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from transformers import PreTrainedTokenizerFast

PICTURE_SHARE = 0.5
LONGEST_ANSWER = 120
"""Words; lengths are drawn such that each doubling is as likely as the next, from four on."""


def write_conversations(
    folder: Path, tokenizer: PreTrainedTokenizerFast, number: int, *, picture_side: int, seed: int = 0
) -> Path:
    """folder/train.json with `number` records of one to three exchanges, and a picture of its own for each that has
    one: JPEG, `picture_side` wide, three quarters as high."""
    rng = random.Random(seed)
    words = sorted(
        name.removeprefix("▁")
        for name in tokenizer.get_vocab()
        if name.startswith("▁") and name[1:].isalpha() and name[1:].islower()
    )
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for index in range(number):
        record: dict[str, Any] = {"id": str(index), "conversations": []}
        with_picture = index < PICTURE_SHARE * number
        if with_picture:
            record["image"] = f"{index}.jpg"
            _write_picture(folder / f"{index}.jpg", picture_side, seed * number + index)
        for turn in range(rng.randrange(1, 4)):
            mark = "<image>\n" if with_picture and turn == 0 else ""
            question = mark + " ".join(rng.choices(words, k=rng.randrange(4, 20)))
            answer = " ".join(rng.choices(words, k=round(4 * (LONGEST_ANSWER / 4) ** rng.random())))
            record["conversations"] += [
                {"from": "human", "value": question}, {"from": "gpt", "value": answer}
            ]  # fmt: skip
        records.append(record)
    rng.shuffle(records)
    file = folder / "train.json"
    file.write_text(json.dumps(records), encoding="utf-8")
    return file


def _write_picture(path: Path, side: int, seed: int) -> None:
    """Coarse noise, made smooth: about as many bytes as a photograph."""
    noise = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((side, side * 3 // 4), Image.Resampling.BICUBIC).save(path, quality=90)

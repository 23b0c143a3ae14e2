"""The drawn world as a data set on disk: LLaVA's training JSON and a folder of pictures, as any trainer reads them.

The conversations are worded and weighted as those of the last parts of the shipped model's training
(docs/decisions/0007). Who trains the model further mixes some of them in, so that it does not forget what it knew.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from conversations.escaping import escape_all
from conversations.formats.contents import IMAGE_FOLDER, marked_text
from conversations.messages import ImageRef
from conversations.new_folder import new_folder
from scripts.demo_world.picture import draw
from scripts.demo_world.samples import (
    RELATING_WEIGHTS,
    Sample,
    caption_sample,
    picture_sample,
    small_talk_sample,
    text_sample,
)
from scripts.demo_world.scene import Scene

SEEDS_FROM = 600_000_000
"""No other stage of training and no examination draws from here on."""

DESCRIBED_SHARE = 0.3
FEWEST_EXCHANGES = 6
FILE_NAME = "train.json"
_SPEAKERS = {"user": "human", "assistant": "gpt"}


def conversation(seed: int, fewest_exchanges: int = FEWEST_EXCHANGES) -> Sample:
    """The conversation of a seed: of twenty, one is small talk and one has its scene told in words."""
    how_many = fewest_exchanges + seed // 20 % 4
    if seed % 20 == 0:
        return small_talk_sample(seed)
    if seed % 20 == 1:
        return text_sample(seed, how_many=how_many)
    described = random.Random(f"described-{seed}").random() < DESCRIBED_SHARE
    return picture_sample(
        seed, how_many=max(1, how_many - described), described=described, weights=RELATING_WEIGHTS
    )


def conversations(count: int, first: int = 0, fewest_exchanges: int = FEWEST_EXCHANGES) -> Iterator[Sample]:
    """`count` of them, from the one with number `first` on."""
    for seed in range(SEEDS_FROM + first, SEEDS_FROM + first + count):
        yield conversation(seed, fewest_exchanges)


def captions(count: int, first: int = 0) -> Iterator[Sample]:
    """Pictures with a caption each, for stage 1."""
    for seed in range(SEEDS_FROM + first, SEEDS_FROM + first + count):
        yield caption_sample(seed)


@dataclass(frozen=True, slots=True)
class Written:
    """What lies in a data set's folder."""

    file: Path
    pictures: Path
    num_samples: int
    num_answers: int
    num_pictures: int


def write(folder: Path, samples: Iterator[Sample], picture_size: int) -> Written:
    """`train.json` and `images/` in `folder`, which is not there yet and appears whole. Pictures are square, with
    `picture_size` pixels a side. A sample's own system prompt has no place in the format and is left out.
    Raises UnwritableFolder, DiskFull."""
    rows: list[dict[str, object]] = []
    num_answers = num_pictures = 0
    with new_folder(folder) as part:
        (part / IMAGE_FOLDER).mkdir()
        for sample in samples:
            names = [_save(part / IMAGE_FOLDER, scene, picture_size) for scene in sample.scenes]
            rows.append(row_of(f"drawn-{len(rows)}", sample, names))
            num_pictures += len(names)
            num_answers += sum(message.role == "assistant" for message in sample.messages)
        text = json.dumps(rows, ensure_ascii=False, indent=1)
        (part / FILE_NAME).write_text(text + "\n", encoding="utf-8")
    return Written(folder / FILE_NAME, folder / IMAGE_FOLDER, len(rows), num_answers, num_pictures)


def row_of(name: str, sample: Sample, pictures: list[str]) -> dict[str, object]:
    """A record of LLaVA's JSON; `pictures` are file names in the order of the sample's scenes."""
    num_places = sum(isinstance(part, ImageRef) for message in sample.messages for part in message.content)
    if num_places != len(pictures):
        raise ValueError(
            f"The sample has {num_places} places for {len(pictures)} pictures; give one for each."
        )
    row: dict[str, object] = {"id": name}
    if pictures:
        row["image"] = pictures[0] if len(pictures) == 1 else pictures
    row["conversations"] = [
        {"from": _SPEAKERS[message.role], "value": marked_text(message.content, escape_all)}
        for message in sample.messages
    ]
    return row


def _save(folder: Path, scene: Scene, size: int) -> str:
    """Named by its content, as the log's pictures are: the same picture is there once."""
    data = io.BytesIO()
    draw(scene, size).save(data, "PNG")
    name = f"{hashlib.sha256(data.getvalue()).hexdigest()}.png"
    (folder / name).write_bytes(data.getvalue())
    return name

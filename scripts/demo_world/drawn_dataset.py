"""A part's samples, drawn when they are asked for: every item is a function of its index, so nothing is kept."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerFast

from conversations.template import TEMPLATES
from model.prompt import render
from model.training.dataset import IGNORED, collate
from scripts.demo_world.clip_stage import pictures_of
from scripts.demo_world.course import Part
from scripts.demo_world.patches import GRID, patch_phrases
from scripts.demo_world.samples import Sample, caption_sample, picture_sample, small_talk_sample, text_sample
from scripts.demo_world.scene import sample_scene

ALIGN_SEEDS_FROM = 200_000_000
TUNE_SEEDS_FROM = 300_000_000
MAX_GAP, GAP_SHARE = 400, 0.3
"""In some rows positions jump ahead after a random token, as if a longer conversation lay between: a small model never
sees long ones, and is asked late in long ones all the same."""


class DrawnDataset(Dataset[dict[str, Any]]):
    """The samples of a part, in the order of its steps. `number` tells parts apart."""

    def __init__(self, part: Part, number: int, tokenizer: PreTrainedTokenizerFast) -> None:
        self._part, self._number, self._tokenizer = part, number, tokenizer

    def __len__(self) -> int:
        return self._part.num_steps * self._part.batch_size

    def __getitem__(self, index: int) -> dict[str, Any]:
        part, gap_seed = self._part, f"{self._number}-{index}"
        if part.lesson == "words":
            scene = sample_scene(ALIGN_SEEDS_FROM + self._number * 10_000_000 + index)
            nothing = torch.zeros(1, dtype=torch.long)
            item = {"input_ids": nothing, "labels": nothing + IGNORED, "pixel_values": pictures_of([scene])}
            return item | {"phrases": torch.from_numpy(patch_phrases(scene)[None])}
        if part.lesson == "captions":
            return item_of(
                caption_sample(ALIGN_SEEDS_FROM + index), "plain", self._tokenizer, gap_seed=gap_seed
            )
        return item_of(self._talk(index), "llava_v0", self._tokenizer, gap_seed=gap_seed)

    def _talk(self, index: int) -> Sample:
        step, row = divmod(index, self._part.batch_size)
        seed = TUNE_SEEDS_FROM + self._number * 10_000_000 + index
        how_many = self._part.fewest_exchanges + step % 4
        if seed % 20 == 0:
            return small_talk_sample(seed)
        if seed % 20 == 1:
            return text_sample(seed, how_many=how_many)
        described = row < self._part.num_described(step)
        return picture_sample(
            seed, how_many=how_many - described, max_things=self._part.max_things(step), described=described,
            weights=self._part.weights,
        )  # fmt: skip


def item_of(
    sample: Sample, template: str, tokenizer: PreTrainedTokenizerFast, *, gap_seed: str
) -> dict[str, Any]:
    """A sample as the trainer takes it, rendered by the function that chat uses."""
    prompt = render(
        TEMPLATES[template], sample.messages, tokenizer, num_patches=GRID * GRID,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"), system=sample.system, open_turn=False,
    )  # fmt: skip
    input_ids = torch.tensor(prompt.input_ids)
    positions = torch.arange(len(input_ids))
    rng = random.Random(f"gap-{gap_seed}")
    if rng.random() < GAP_SHARE:
        positions[rng.randrange(len(input_ids)) :] += rng.randint(1, MAX_GAP)
    item = {
        "input_ids": input_ids,
        "labels": torch.where(torch.tensor(prompt.loss_mask), input_ids, IGNORED),
        "position_ids": positions,
    }
    if sample.scenes:
        item["pixel_values"] = pictures_of(sample.scenes)
        item["phrases"] = torch.from_numpy(np.stack([patch_phrases(scene) for scene in sample.scenes]))
    return item


def collate_with_phrases(items: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """As in training on files, and for each picture what its patches show, `phrases` [N, P]."""
    batch = collate(items)
    phrases = [item["phrases"] for item in items if "phrases" in item]
    return batch | {"phrases": torch.cat(phrases)} if phrases else batch

"""A batch of samples as tensors, rendered by the same function that chat uses."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from conversations.template import Template
from model.prompt import Prompt, render
from scripts.demo_world.clip_stage import pictures_of
from scripts.demo_world.patches import GRID
from scripts.demo_world.samples import Sample

_MAX_GAP = 400
_GAP_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids, trained mask and positions, each [B, T], and the pictures [N, 3, H, W] in order (None: none)."""

    input_ids: Tensor
    loss_mask: Tensor
    attention_mask: Tensor
    position_ids: Tensor
    pixel_values: Tensor | None

    def to(self, device: str) -> Batch:
        pixels = None if self.pixel_values is None else self.pixel_values.to(device)
        return Batch(
            self.input_ids.to(device), self.loss_mask.to(device), self.attention_mask.to(device),
            self.position_ids.to(device), pixels,
        )  # fmt: skip


def make_batch(
    samples: Sequence[Sample], template: Template, tokenizer: PreTrainedTokenizerFast, *, seed: int = 0
) -> Batch:
    """Render and pad on the right. In some rows positions jump ahead after a random token, as if a longer
    conversation lay between: a small model never sees long ones, and is asked late in long ones all the same."""
    rng = random.Random(f"gap-{seed}")
    image_token_id = tokenizer.convert_tokens_to_ids("<image>")
    prompts: list[Prompt] = [
        render(
            template, sample.messages, tokenizer, num_patches=GRID * GRID, image_token_id=image_token_id,
            system=sample.system, open_turn=False,
        )
        for sample in samples
    ]  # fmt: skip
    longest = max(len(prompt.input_ids) for prompt in prompts)
    ids = torch.full((len(prompts), longest), tokenizer.pad_token_id)
    mask = torch.zeros((len(prompts), longest), dtype=torch.bool)
    attention = torch.zeros((len(prompts), longest), dtype=torch.long)
    positions = torch.arange(longest).repeat(len(prompts), 1)
    for row, prompt in enumerate(prompts):
        length = len(prompt.input_ids)
        ids[row, :length] = torch.tensor(prompt.input_ids)
        mask[row, :length] = torch.tensor(prompt.loss_mask)
        attention[row, :length] = 1
        if rng.random() < _GAP_SHARE:
            positions[row, rng.randrange(length) :] += rng.randint(1, _MAX_GAP)
    scenes = [scene for sample in samples for scene in sample.scenes]
    return Batch(ids, mask, attention, positions, pictures_of(scenes) if scenes else None)

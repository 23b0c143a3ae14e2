"""Samples as the trainer's loader takes them, and a batch of them as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from model.training.features import UNREADABLE, PictureSource
from model.training.samples import Sample

IGNORED = -100
"""The label of what is not learned, as in torch's cross_entropy."""


class SampleDataset(Dataset[dict[str, Any]]):
    """`num_skipped` counts samples whose picture turned out unreadable: nothing of them is learned."""

    def __init__(self, samples: Sequence[Sample], pictures: PictureSource) -> None:
        self.samples, self._pictures = samples, pictures
        # Shared, so that what a loader's process skips is counted here.
        self._skipped = torch.zeros(len(samples), dtype=torch.bool).share_memory_()

    @property
    def num_skipped(self) -> int:
        return int(self._skipped.sum())

    @property
    def lengths(self) -> list[int]:
        return [len(sample.input_ids) for sample in self.samples]

    @property
    def has_picture(self) -> list[bool]:
        return [bool(sample.pictures) for sample in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = self.samples[index]
        input_ids = torch.from_numpy(sample.input_ids).long()
        labels = torch.where(torch.from_numpy(sample.trained), input_ids, IGNORED)
        item: dict[str, Any] = {"input_ids": input_ids, "labels": labels}
        if sample.pictures:
            try:
                item[self._pictures.key] = self._pictures.get(sample.pictures)
            except UNREADABLE:
                self._skipped[index] = True
                item["labels"] = torch.full_like(labels, IGNORED)
                item["num_missing"] = len(sample.pictures)
        return item


def collate(items: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """Items -> input_ids, labels, attention_mask [B, T], padded on the right, and the pictures of all in their order;
    position_ids where the items bring them. Padding is masked and not learned, so its id does not matter."""
    longest = max(len(item["input_ids"]) for item in items)
    batch = {
        "input_ids": torch.zeros((len(items), longest), dtype=torch.long),
        "labels": torch.full((len(items), longest), IGNORED),
        "attention_mask": torch.zeros((len(items), longest), dtype=torch.long),
    }
    if "position_ids" in items[0]:
        batch["position_ids"] = torch.arange(longest).repeat(len(items), 1)
    for row, item in enumerate(items):
        length = len(item["input_ids"])
        batch["attention_mask"][row, :length] = 1
        for name in ("input_ids", "labels", "position_ids"):
            if name in batch:
                batch[name][row, :length] = item[name]
    for key in ("pixel_values", "tower_features"):
        found = [item[key] for item in items if key in item]
        if found:
            shape = found[0].shape[1:]
            batch[key] = torch.cat(
                [
                    item[key] if key in item else torch.zeros((item.get("num_missing", 0), *shape))
                    for item in items
                ]
            )
    return batch

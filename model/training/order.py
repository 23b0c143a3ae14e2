"""The order of samples: batches of like lengths, pictures with pictures, a new order every epoch, all from the seed.

Like lengths waste no work on padding; a batch without any picture needs no projector. LLaVA groups by modality as well
("group_by_modality_length" in its trainer).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

BATCHES_A_STRETCH = 32
"""Batches that are sorted together: the more, the better lengths fit, and the fewer orders there are."""


class GroupedOrder(Sampler[int]):
    """Indices such that each next `batch_size` of them are a batch. What is left of both kinds is mixed at the end."""

    def __init__(
        self, lengths: Sequence[int], has_picture: Sequence[bool], batch_size: int, seed: int
    ) -> None:
        self._lengths, self._has_picture = lengths, has_picture
        self._batch_size, self._seed = batch_size, seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        rng = random.Random(f"{self._seed}:{self._epoch}")
        batches: list[list[int]] = []
        leftover: list[int] = []
        for kind in (True, False):
            indices = [index for index, has in enumerate(self._has_picture) if has == kind]
            rng.shuffle(indices)
            stretch = self._batch_size * BATCHES_A_STRETCH
            whole = len(indices) - len(indices) % self._batch_size
            leftover += indices[whole:]
            for start in range(0, whole, stretch):
                like = sorted(indices[start : min(start + stretch, whole)], key=self._lengths.__getitem__)
                batches += [
                    like[first : first + self._batch_size] for first in range(0, len(like), self._batch_size)
                ]
        rng.shuffle(batches)
        leftover.sort(key=lambda index: (self._has_picture[index], self._lengths[index]))
        yield from (index for batch in batches for index in batch)
        yield from leftover

"""How much a run has to compute: its samples' lengths and what follows from them. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from model.training.config import TrainingConfig


@dataclass(frozen=True, slots=True)
class Workload:
    """`samples` and `held_out` are pairs (tokens, trained tokens). A picture's uses are those of one epoch."""

    samples: tuple[tuple[int, int], ...]
    held_out: tuple[tuple[int, int], ...]
    num_pictures: int
    num_picture_uses: int
    num_held_out_uses: int = 0

    def micro_batch(self, config: TrainingConfig) -> int:
        """Samples that are computed at once (on one process), as loop.py has it."""
        return min(config.micro_batch_size, config.batch_size, max(1, len(self.samples)))

    def num_accumulated(self, config: TrainingConfig) -> int:
        return max(1, round(min(config.batch_size, len(self.samples)) / self.micro_batch(config)))

    def num_steps(self, config: TrainingConfig) -> int:
        """As transformers' Trainer counts: an epoch's last step may be a smaller one."""
        if not self.samples:
            return 0
        if config.max_steps:
            return config.max_steps
        batches = math.ceil(len(self.samples) / self.micro_batch(config))
        steps = math.ceil(batches / self.num_accumulated(config))
        return math.ceil(config.num_epochs * steps)

    def num_epochs(self, config: TrainingConfig) -> float:
        """Times that a sample is learned."""
        if not config.max_steps or not self.samples:
            return config.num_epochs
        return config.max_steps * self.micro_batch(config) * self.num_accumulated(config) / len(self.samples)

    @property
    def num_tokens(self) -> int:
        return sum(length for length, _ in self.samples)

    @property
    def num_trained(self) -> int:
        return sum(trained for _, trained in self.samples)

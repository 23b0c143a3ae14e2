"""How much a run has to compute: its samples' lengths and what follows from them. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from model.training.batches import Batches
from model.training.config import TrainingConfig


@dataclass(frozen=True, slots=True)
class Workload:
    """`samples` and `held_out` are pairs (tokens, trained tokens). A picture's uses are those of one epoch."""

    samples: tuple[tuple[int, int], ...]
    held_out: tuple[tuple[int, int], ...]
    num_pictures: int
    num_picture_uses: int
    num_held_out_uses: int = 0

    def batches(self, config: TrainingConfig) -> Batches:
        """On one process."""
        return Batches.of(config, len(self.samples))

    def num_steps(self, config: TrainingConfig) -> int:
        return self.batches(config).num_steps(config, len(self.samples))

    def num_epochs(self, config: TrainingConfig) -> float:
        """Times that a sample is learned."""
        return self.batches(config).num_epochs(config, len(self.samples))

    @property
    def num_tokens(self) -> int:
        return sum(length for length, _ in self.samples)

    @property
    def num_trained(self) -> int:
        return sum(trained for _, trained in self.samples)

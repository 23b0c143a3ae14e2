"""How a step's samples are computed: in micro-batches that a process takes one after another. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from model.training.config import TrainingConfig


@dataclass(frozen=True, slots=True)
class Batches:
    """`micro` samples at once, `accumulated` times before a step, in each of `num_processes`."""

    micro: int
    accumulated: int
    num_processes: int = 1

    @classmethod
    def of(cls, config: TrainingConfig, num_samples: int, num_processes: int = 1) -> Batches:
        """A step has as many samples as the config names. Where there are fewer samples than that, a step is an epoch,
        and its micro-batches are as even as can be."""
        if num_samples < config.batch_size:
            a_process = math.ceil(max(1, num_samples) / num_processes)
            accumulated = math.ceil(a_process / config.micro_batch_size)
            return cls(math.ceil(a_process / accumulated), accumulated, num_processes)
        a_process = math.ceil(config.batch_size / num_processes)
        micro = next(
            size for size in range(min(config.micro_batch_size, a_process), 0, -1) if a_process % size == 0
        )
        return cls(micro, a_process // micro, num_processes)

    @property
    def a_step(self) -> int:
        """Samples of a step, in all processes."""
        return self.micro * self.accumulated * self.num_processes

    def num_steps(self, config: TrainingConfig, num_samples: int) -> int:
        """As transformers' Trainer counts: an epoch's last step may be a smaller one."""
        if not num_samples or config.max_steps:
            return config.max_steps if num_samples else 0
        batches = math.ceil(num_samples / (self.micro * self.num_processes))
        return math.ceil(config.num_epochs * math.ceil(batches / self.accumulated))

    def num_epochs(self, config: TrainingConfig, num_samples: int) -> float:
        """Times that a sample is learned."""
        if not num_samples or not config.max_steps:
            return config.num_epochs
        return config.max_steps * self.a_step / num_samples

"""A step has the samples that the config names, in micro-batches that fit, and counts as transformers does."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from model.training.batches import Batches
from model.training.config import DataSource, TrainingConfig

SIZES = st.integers(1, 200)


def config(batch_size: int, micro_batch_size: int, **more: float) -> TrainingConfig:
    return TrainingConfig(
        "lora", "m", (DataSource("x.json"),), batch_size=batch_size, micro_batch_size=micro_batch_size, **more
    )  # type: ignore[arg-type]


@given(SIZES, SIZES, st.integers(1, 500), st.integers(1, 4))
def test_a_step_is_what_the_config_names(batch: int, micro: int, num_samples: int, processes: int) -> None:
    made = Batches.of(config(batch, micro), num_samples, processes)
    assert 1 <= made.micro <= micro and made.a_step == made.micro * made.accumulated * processes
    if num_samples < batch:
        assert num_samples <= made.a_step, "an epoch is one step"
        assert made.accumulated == math.ceil(math.ceil(num_samples / processes) / micro), (
            "and no more passes than needed"
        )
    else:
        assert batch <= made.a_step < batch + processes
        assert made.accumulated * made.micro == math.ceil(batch / processes)


def test_odd_sizes_make_no_larger_steps() -> None:
    assert Batches.of(config(10, 4), 100) == Batches(2, 5)
    assert Batches.of(config(7, 4), 100) == Batches(1, 7)
    assert Batches.of(config(256, 32), 10_000) == Batches(32, 8)
    assert Batches.of(config(256, 32), 37) == Batches(19, 2)


def test_steps_and_epochs_are_each_others_inverse() -> None:
    by_epochs, by_steps = config(16, 4, num_epochs=3.0), config(16, 4, max_steps=12)
    made = Batches.of(by_epochs, 64)
    assert made.num_steps(by_epochs, 64) == 12 and made.num_epochs(by_epochs, 64) == 3.0
    assert made.num_steps(by_steps, 64) == 12 and made.num_epochs(by_steps, 64) == 3.0
    assert made.num_steps(config(16, 4, num_epochs=2.5), 70) == math.ceil(2.5 * 5)
    assert made.num_steps(by_epochs, 0) == made.num_steps(by_steps, 0) == 0

"""What share of a matrix product's speed training reaches: as earlier runs did, or else a first guess. No torch."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path

from model.training.config import InvalidConfig, TrainingConfig
from model.training.machine import Efficiency
from model.training.model_shape import ModelShape
from model.training.run_folder import RunFolder
from model.training.work import training_flops
from model.training.workload import Workload

FIRST_GUESS = {"cpu": 0.5, "cuda": 0.4, "mps": 0.3}
"""Of a GPU: what Chowdhery et al. 2022 ("PaLM", table 3) report of large models, rounded down. Of a CPU: measured here
(docs/training.md)."""

MOST_RUNS = 5
FEWEST_STEPS = 3
"""Logged ones: the first of a run is slower than the others."""


def efficiency(
    folders: Iterable[Path],
    device: str,
    config: TrainingConfig,
    shape: ModelShape,
    work: Workload,
    flops_per_second: float,
) -> Efficiency:
    """The median of the newest runs in `folders` that trained this base by this recipe on this kind of device. What a
    token of theirs cost is counted with this run's samples."""
    reached: list[tuple[float, float, str]] = []
    for path in folders:
        speed = _tokens_per_second(RunFolder(path), device, config)
        if speed is not None:
            newest_first, tokens_per_second, of_that = speed
            flops = training_flops(of_that, shape, work, cached=of_that.feature_cache != "off")
            tokens = work.num_tokens * work.num_epochs(of_that)
            reached.append((newest_first, tokens_per_second * flops / tokens / flops_per_second, path.name))
    if not reached:
        return Efficiency(FIRST_GUESS.get(device, FIRST_GUESS["cpu"]))
    newest = sorted(reached, reverse=True)[:MOST_RUNS]
    share = statistics.median(share for _, share, _ in newest)
    return Efficiency(min(1.0, share), newest[0][2])  # above 1, the machine is busier now than it was then


def _tokens_per_second(
    folder: RunFolder, device: str, config: TrainingConfig
) -> tuple[float, float, TrainingConfig] | None:
    """When it ended, how fast it was, and its config; None for a run that tells nothing of this one."""
    status = folder.status()
    if status is None or status.phase != "done" or status.device.partition(":")[0] != device:
        return None
    try:
        of_that = folder.config()
    except (OSError, InvalidConfig):
        return None
    if (of_that.model, of_that.recipe) != (config.model, config.recipe):
        return None
    speeds = [line["tokens_per_second"] for line in folder.metrics() if line.get("tokens_per_second")]
    if len(speeds) < FEWEST_STEPS:
        return None
    return status.updated_at, statistics.median(speeds), of_that

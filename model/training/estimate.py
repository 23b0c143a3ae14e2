"""What a run will need of memory, disk and time, told before it starts. No torch.

The parts of memory are those of Rajbhandari et al. 2020 ("ZeRO", section 3): weights, their gradients, the optimiser's
moments, and activations (activations.py). Work is in work.py. What was measured against it is in docs/training.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from model.training.activations import Batch, activation_bytes
from model.training.config import TrainingConfig
from model.training.machine import Efficiency, Machine
from model.training.model_shape import ModelShape
from model.training.work import decoding_seconds, other_flops, training_flops
from model.training.workload import Workload

BYTES_OF_4_BITS = 0.5 + 1 / 64 + 4 / (64 * 256)
"""A weight of nf4 with double quantisation: model/checkpoint/quantisation.py."""

BYTES_OF_MOMENTS = {"adamw": 8.0, "adamw_8bit": 2.0 + 8 / 256}
"""AdamW's two, in float32 or in 8 bits with a scale for 256 (Dettmers et al. 2022, "8-bit Optimizers", section 2.1)."""

USABLE = 0.95
"""Of the free memory: an allocator cannot use all of its blocks."""

READ_BYTES_PER_SECOND = 0.5e9
"""Weights from a disk to where they are used; a guess on the low side."""


_SMALLER_RECIPES = {"finetune": ("lora", "qlora"), "lora": ("qlora",)}
_SAVINGS = (
    ("activation_checkpointing", True, "turn activation_checkpointing on"),
    ("micro_batch_size", 1, "set micro_batch_size to 1"),
    ("optimizer", "adamw_8bit", "set optimizer to adamw_8bit"),
)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes, seconds, floating-point operations. `words` is the sentence for the person."""

    weights: int
    gradients: int
    optimizer: int
    activations: int  # of the largest micro batch, the scores over the vocabulary included
    base: int  # what the process or the GPU takes before anything of the model is there
    memory: int  # all of them together
    free_memory: int
    device: str  # "cpu", "cuda", ...
    feature_cache: int  # on the disk; 0 where pictures are encoded every time
    checkpoints: int  # on the disk, the result included
    free_disk: int
    num_trained: int  # weights that are trained
    training_tokens: int  # read, over all epochs
    training_flops: float
    other_flops: float  # encoding pictures, looking at what is held out
    flops_per_second: float  # that the machine reached with a matrix product just now
    efficiency: float  # the share of it that training reaches
    efficiency_from: str  # "" or the run in which it was reached
    seconds: float
    fits: bool
    remedy: str = ""  # what to change where it does not fit; "" where it does, or where nothing helps
    words: str = ""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Estimate:
        """Raises TypeError for what is none."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


@dataclass(frozen=True, slots=True)
class Run:
    """What an estimate is made for. `cached`: whether the tower's features are kept on the disk (features.pays)."""

    config: TrainingConfig
    shape: ModelShape
    work: Workload
    machine: Machine
    efficiency: Efficiency
    cached: bool


def estimate(run: Run) -> Estimate:
    """Raises nothing: where it does not fit, `words` say so and name what does."""
    made = _made(run)
    remedy = "" if made.fits else _remedy(run, made)
    return replace(made, remedy=remedy, words=_words(made, remedy, run.machine))


def num_trained(config: TrainingConfig, shape: ModelShape) -> int:
    """Weights that are trained: adapters.py."""
    if config.recipe == "align":
        return shape.projector
    if config.recipe == "finetune":
        return shape.num_weights - shape.tower
    return shape.projector + shape.adapters(config.lora_rank)


def weight_bytes(config: TrainingConfig, shape: ModelShape, bytes_per_number: int) -> float:
    """What is trained is in float32, what is frozen in the run's format or in 4 bits. Where products are computed in
    half precision, torch's autocast keeps a copy of what is trained in it."""
    trained = num_trained(config, shape)
    frozen = shape.num_weights + (shape.adapters(config.lora_rank) if config.keeps_adapter else 0) - trained
    in_4_bits = shape.quantisable if config.recipe == "qlora" else 0
    copies = bytes_per_number * trained if bytes_per_number < 4 else 0
    return 4 * trained + copies + bytes_per_number * (frozen - in_4_bits) + BYTES_OF_4_BITS * in_4_bits


def _made(run: Run) -> Estimate:
    config, shape, work, machine = run.config, run.shape, run.work, run.machine
    trained = num_trained(config, shape)
    batch = _largest_batch(config, work)
    weights = round(weight_bytes(config, shape, machine.bytes_per_number))
    optimizer = round(BYTES_OF_MOMENTS[config.optimizer] * trained)
    activations = activation_bytes(
        shape, config, batch, machine.bytes_per_number, fused_dropout=machine.device == "cuda"
    )
    memory = weights + 4 * trained + optimizer + activations + machine.base_memory
    features = work.num_pictures * shape.num_patches * shape.tower_width * min(4, machine.bytes_per_number)
    result = 4 * (trained if config.keeps_adapter else shape.num_weights)
    checkpoints = (config.num_checkpoints_kept + 1) * (4 * trained + optimizer) + result
    disk = checkpoints + (features if run.cached else 0)
    learning = training_flops(config, shape, work, cached=run.cached)
    beside = other_flops(config, shape, work, cached=run.cached)
    reached = machine.flops_per_second * run.efficiency.share
    start = machine.start_seconds + shape.num_weights * machine.bytes_per_number / READ_BYTES_PER_SECOND
    return Estimate(
        weights=weights,
        gradients=4 * trained,
        optimizer=optimizer,
        activations=activations,
        base=machine.base_memory,
        memory=memory,
        free_memory=machine.free_memory,
        device=machine.device,
        feature_cache=features if run.cached else 0,
        checkpoints=checkpoints,
        free_disk=machine.free_disk,
        num_trained=trained,
        training_tokens=round(work.num_tokens * work.num_epochs(config)),
        training_flops=learning,
        other_flops=beside,
        flops_per_second=machine.flops_per_second,
        efficiency=run.efficiency.share,
        efficiency_from=run.efficiency.run,
        seconds=start + (learning + beside) / reached + decoding_seconds(config, shape, work, reached),
        fits=memory <= USABLE * machine.free_memory and disk < machine.free_disk,
    )


def _largest_batch(config: TrainingConfig, work: Workload) -> Batch:
    """Batches hold samples of like lengths, so that the longest ones may meet."""
    longest = sorted(work.samples, reverse=True)[: work.batches(config).micro]
    return Batch(
        num_samples=len(longest),
        num_tokens=max((length for length, _ in longest), default=0),
        num_trained=sum(trained for _, trained in longest),
    )


def _remedy(run: Run, made: Estimate) -> str:
    """The least change with which it fits, in words; "" where none does."""
    if made.memory <= USABLE * made.free_memory:
        return "make room on the disk, or keep fewer checkpoints"
    for words, changes in _smaller(run.config):
        tried = _made(replace(run, config=run.config.changed(**changes)))
        if tried.memory <= USABLE * tried.free_memory:
            return words
    return ""


def _smaller(config: TrainingConfig) -> Iterator[tuple[str, dict[str, Any]]]:
    """Changes in words and as fields: of the recipe as it is, and then of recipes that need less."""
    for recipe in (config.recipe, *_SMALLER_RECIPES.get(config.recipe, ())):
        changes: dict[str, Any] = {"recipe": recipe}
        words = [] if recipe == config.recipe else [f"use {recipe}"]
        if words:
            yield words[0], changes
        for name, value, told in _SAVINGS:
            if getattr(config, name) != value:
                changes, words = {**changes, name: value}, [*words, told]
                yield " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words), changes


def _words(made: Estimate, remedy: str, machine: Machine) -> str:
    room = f"Needs about {_gigabytes(made.memory)}; {machine.name} has {_gigabytes(made.free_memory)} free"
    if made.memory > USABLE * made.free_memory:
        return f"{room}: {remedy or 'choose a smaller model, or a machine with more memory'}."
    time = f"takes about {_duration(made.seconds)}"
    disk = made.checkpoints + made.feature_cache
    if disk >= made.free_disk:
        free = _gigabytes(made.free_disk)
        return f"{room} and {time}, but it writes {_gigabytes(disk)} to a disk with {free} free: {remedy}."
    return f"{room}: it fits, and {time}."


def _gigabytes(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:.2g} GB" if num_bytes < 99.5e9 else f"{num_bytes / 1e9:.0f} GB"


def _duration(seconds: float) -> str:
    """In two figures: more would be a promise."""
    if seconds < 100:
        return f"{max(1, round(seconds, -1 if seconds > 20 else 0)):.0f} seconds"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours" if seconds < 100 * 3600 else f"{seconds / 86400:.0f} days"

"""How much a run computes, in floating-point operations. No torch.

Counted as in Kaplan et al. 2020 ("Scaling Laws for Neural Language Models", section 2.1): a token takes two
operations a weight forward, two a weight for the gradient that is handed on, and two a weight for the weight's own
gradient where it is trained: 6 in all, or 4 for frozen weights. Attention adds 4 x width operations for each pair of
tokens and layer.
"""

from __future__ import annotations

from model.training.config import TrainingConfig
from model.training.model_shape import ModelShape
from model.training.workload import Workload

SECONDS_A_LAYER = 0.7e-3
"""For one token of an answer, beside its arithmetic: the cost of starting each operation."""

ANSWER_TOKENS = 24
"""Of a held-out answer, where it is not known; they are cut soon after the right one's length."""


def training_flops(config: TrainingConfig, shape: ModelShape, work: Workload, *, cached: bool) -> float:
    """Of all epochs. With activation checkpointing the layers are computed forward once more."""
    trains_weights = config.recipe == "finetune"
    again = 2 if config.activation_checkpointing else 0
    a_weight = (6 if trains_weights else 4) + again
    adapters = shape.adapters(config.lora_rank) if config.keeps_adapter else 0
    tokens, squares = work.num_tokens, sum(length * length for length, _ in work.samples)
    layers = tokens * (a_weight * shape.computing + (6 + again) * adapters)
    attention = (3 + again / 2) * 4 * shape.num_layers * shape.query_width * squares
    scores = (6 if trains_weights else 4) * shape.vocabulary * shape.width * work.num_trained
    projector = 6 * shape.projector * shape.num_patches * work.num_picture_uses
    tower = 0.0 if cached else _tower(shape) * work.num_picture_uses
    return work.num_epochs(config) * (layers + attention + scores + projector + tower)


def other_flops(config: TrainingConfig, shape: ModelShape, work: Workload, *, cached: bool) -> float:
    """Encoding pictures once, and the loss on what is held out: before, after, and every so many steps."""
    times = 2 + work.num_steps(config) // config.evaluate_every_steps
    forward = sum(_forward(shape, length, trained) for length, trained in work.held_out)
    pictures = _tower(shape) * (work.num_pictures if cached else times * work.num_held_out_uses)
    return times * forward + pictures


def decoding_seconds(config: TrainingConfig, shape: ModelShape, work: Workload, reached: float) -> float:
    """Of the held-out answers, asked for before and after, a token at a time."""
    asked = work.held_out[: config.num_asked]
    tokens = sum(min(trained, ANSWER_TOKENS) if trained else ANSWER_TOKENS for _, trained in asked)
    a_token = (
        SECONDS_A_LAYER * shape.num_layers + 2 * (shape.computing + shape.vocabulary * shape.width) / reached
    )
    return 2 * (tokens * a_token + sum(_forward(shape, length, 1) for length, _ in asked) / reached)


def _forward(shape: ModelShape, length: int, trained: int) -> float:
    attention = 4 * shape.num_layers * shape.query_width * length * length
    return 2 * shape.computing * length + attention + 2 * shape.vocabulary * shape.width * trained


def _tower(shape: ModelShape) -> float:
    """Of one picture, forward."""
    places = shape.num_patches + 1
    return 2 * shape.tower * places + 4 * shape.tower_layers * shape.tower_width * places * places

"""Recipes: what each stage of LLaVA's training learns, with the values that the papers used, and with values for the
small data that a person corrects in an afternoon.

The papers' values are those of Liu et al. 2023, "Visual Instruction Tuning" (section 5), and "Improved Baselines with
Visual Instruction Tuning" (appendix), as LLaVA's own scripts give them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from model.training.config import DataSource, RecipeName, TrainingConfig

Scale = Literal["paper", "small"]

SMALL_TEXT_WIDTH = 1024
"""Below it a language model is a small one, which learns at higher rates."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained, in words, and the values of its fields by scale."""

    name: RecipeName
    words: str
    paper: Mapping[str, Any]
    small: Mapping[str, Any]


_COMMON: Mapping[str, Any] = {"warmup_share": 0.03, "weight_decay": 0.0}
_SMALL: Mapping[str, Any] = {
    "batch_size": 16, "micro_batch_size": 4, "warmup_share": 0.1, "held_out_share": 0.1, "save_every_steps": 50,
    "evaluate_every_steps": 25,
}  # fmt: skip

RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "align",
            "Stage 1: the projector alone learns captions, so that pictures reach the language model.",
            {**_COMMON, "learning_rate": 1e-3, "batch_size": 256, "micro_batch_size": 32, "num_epochs": 1.0},
            {**_COMMON, **_SMALL, "learning_rate": 1e-3, "num_epochs": 2.0},
        ),
        Recipe(
            "finetune",
            "Stage 2: projector and language model learn together; the result is a whole checkpoint.",
            {**_COMMON, "learning_rate": 2e-5, "batch_size": 128, "micro_batch_size": 16, "num_epochs": 1.0,
             "activation_checkpointing": True},
            {**_COMMON, **_SMALL, "learning_rate": 1e-5, "num_epochs": 3.0},
        ),
        Recipe(
            "lora",
            "Adapters on the language model's linear layers, and the projector; the result is a small file.",
            {**_COMMON, "learning_rate": 2e-4, "projector_learning_rate": 2e-5, "batch_size": 128,
             "micro_batch_size": 16, "num_epochs": 1.0, "lora_rank": 128, "lora_alpha": 256, "lora_dropout": 0.05,
             "activation_checkpointing": True},
            {**_COMMON, **_SMALL, "learning_rate": 2e-4, "projector_learning_rate": 2e-5, "num_epochs": 5.0,
             "lora_rank": 32, "lora_alpha": 64, "lora_dropout": 0.05},
        ),
        Recipe(
            "qlora",
            "Like lora, on weights in 4 bits: for a model that would not fit otherwise.",
            {**_COMMON, "learning_rate": 2e-4, "projector_learning_rate": 2e-5, "batch_size": 128,
             "micro_batch_size": 8, "num_epochs": 1.0, "lora_rank": 128, "lora_alpha": 256, "lora_dropout": 0.05,
             "activation_checkpointing": True, "optimizer": "adamw_8bit"},
            {**_COMMON, **_SMALL, "learning_rate": 2e-4, "projector_learning_rate": 2e-5, "num_epochs": 5.0,
             "lora_rank": 32, "lora_alpha": 64, "lora_dropout": 0.05},
        ),
    )
}  # fmt: skip

_OF_NARROW_ADAPTERS: Mapping[str, float] = {
    "learning_rate": 1e-3, "projector_learning_rate": 2.5e-3, "lora_rank": 16, "lora_alpha": 32, "num_epochs": 10.0,
}  # fmt: skip
"""Found with forty corrections on the shipped model (docs/decisions/0015): the new is seen by way of the projector, and
the old is forgotten by way of the adapters."""

_RATES_OF_SMALL_MODELS: Mapping[str, Mapping[str, float]] = {
    "align": {"learning_rate": 4e-3},
    "finetune": {"learning_rate": 5e-4},
    "lora": _OF_NARROW_ADAPTERS,
    "qlora": _OF_NARROW_ADAPTERS,
}


def text_width(model: str | Path) -> int | None:
    """Of a folder's language model, from its config.json; None where there is no such folder or no such number."""
    try:
        told = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))
        width = told.get("text_config", told).get("hidden_size")
    except (OSError, ValueError, AttributeError):
        return None
    return width if isinstance(width, int) else None


def config_for(
    recipe: RecipeName,
    model: str,
    data: tuple[DataSource, ...],
    *,
    scale: Scale = "small",
    text_width: int | None = None,
    **changes: Any,
) -> TrainingConfig:
    """A recipe's config with some fields changed. `text_width` is the base's, where it is known: in "small", a narrow
    model gets higher rates than the papers'. Raises InvalidConfig, KeyError for an unknown recipe."""
    chosen = RECIPES[recipe]
    values = dict(chosen.paper if scale == "paper" else chosen.small)
    if scale == "small" and text_width is not None and text_width < SMALL_TEXT_WIDTH:
        values |= _RATES_OF_SMALL_MODELS[recipe]
    return TrainingConfig(recipe=recipe, model=model, data=data, **values).changed(**changes)

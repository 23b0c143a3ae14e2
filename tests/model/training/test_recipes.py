"""Recipes have the papers' values, and others for small data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.training.config import DataSource, InvalidConfig, TrainingConfig
from model.training.recipes import RECIPES, config_for, text_width

ROOT = Path(__file__).parents[3]
DATA = (DataSource("train.json"),)


@pytest.mark.parametrize(
    ("recipe", "rate", "batch", "epochs"),
    [("align", 1e-3, 256, 1), ("finetune", 2e-5, 128, 1), ("lora", 2e-4, 128, 1), ("qlora", 2e-4, 128, 1)],
)
def test_the_papers_values(recipe: str, rate: float, batch: int, epochs: float) -> None:
    """LLaVA 1.5's scripts (scripts/v1_5/pretrain.sh, finetune.sh, finetune_lora.sh)."""
    config = config_for(recipe, "model", DATA, scale="paper")  # type: ignore[arg-type]
    assert (config.learning_rate, config.batch_size, config.num_epochs) == (rate, batch, epochs)
    assert (config.warmup_share, config.weight_decay, config.max_tokens) == (0.03, 0.0, 2048)
    if config.keeps_adapter:
        assert (config.lora_rank, config.lora_alpha, config.lora_dropout) == (128, 256, 0.05)
        assert config.projector_learning_rate == 2e-5


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("scale", ["paper", "small"])
def test_every_preset_can_be_run_and_changed(recipe: str, scale: str) -> None:
    config = config_for(recipe, "model", DATA, scale=scale, num_epochs=7.0)  # type: ignore[arg-type]
    assert isinstance(config, TrainingConfig)
    assert (config.recipe, config.num_epochs) == (recipe, 7.0)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_narrow_model_learns_at_higher_rates(recipe: str) -> None:
    narrow = config_for(recipe, "model", DATA, text_width=192)  # type: ignore[arg-type]
    wide = config_for(recipe, "model", DATA, text_width=4096)  # type: ignore[arg-type]
    assert narrow.learning_rate > wide.learning_rate
    assert config_for(recipe, "model", DATA) == wide  # type: ignore[arg-type]
    paper = config_for(recipe, "model", DATA, scale="paper")  # type: ignore[arg-type]
    assert config_for(recipe, "model", DATA, scale="paper", text_width=192) == paper  # type: ignore[arg-type]


def test_a_field_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="has no field 'epochs'"):
        config_for("lora", "model", DATA, epochs=3)
    with pytest.raises(KeyError):
        config_for("full", "model", DATA)  # type: ignore[arg-type]


def test_a_narrow_model_is_known_by_its_config(tmp_path: Path) -> None:
    assert (
        text_width(ROOT / "model/demo")
        == json.loads((ROOT / "model/demo/config.json").read_text())["text_config"]["hidden_size"]
    )
    for told in ('{"text_config": {"hidden_size": 4096}}', '{"hidden_size": 4096}'):
        (tmp_path / "config.json").write_text(told)
        assert text_width(str(tmp_path)) == 4096
    for told in ("[]", "{", '{"text_config": null}', '{"hidden_size": "wide"}'):
        (tmp_path / "config.json").write_text(told)
        assert text_width(str(tmp_path)) is None
    assert text_width("some/model") is None

"""What is known of a base without its weights is what loading it finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from conversations.examples import Example
from conversations.messages import ImageRef, Message
from model.checkpoint import CheckpointError, load
from model.training.base_model import look_at, shape_of
from model.training.config import DataSource, TrainingConfig
from model.training.recipes import config_for
from model.training.rendering import Rendering
from tests.model.checkpoint.reference_cases import FORMATS, needs_reference
from tests.model.tiny import edit_config, write_tiny_checkpoint

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = Example(
    "x",
    (
        Message("user", (ImageRef("0" * 64), "What is it? <image> </s> [INST]")),
        Message("assistant", ("A  small shape: <image>.",)),
    ),
)


def config_of(folder: Path, **changes: object) -> TrainingConfig:
    return config_for("lora", str(folder), (DataSource("x.json"),), **changes)


def assert_the_same_as_loaded(folder: Path) -> None:
    config = config_of(folder)
    base, loaded = look_at(config), load(folder, device="cpu")
    told, meant = base.rendering, Rendering.of(loaded, config)
    assert told.prompt(EXAMPLE) == meant.prompt(EXAMPLE)
    assert (told.template, told.context_tokens, told.num_patches) == (
        meant.template, meant.context_tokens, meant.num_patches,
    )  # fmt: skip
    tensors = {name: tuple(each.shape) for name, each in loaded.model.state_dict().items()}
    if loaded.model.config.tie_word_embeddings:
        del tensors["lm_head.weight"]
    assert base.shape == shape_of(tensors, loaded.num_patches)
    assert base.shape.num_weights == sum(each.numel() for each in loaded.model.parameters())


def test_the_shipped_model_is_seen_as_it_is_loaded() -> None:
    assert_the_same_as_loaded(ROOT / "model" / "demo")


@needs_reference
@pytest.mark.parametrize(
    "format_", [each for each in FORMATS if each.base is None], ids=lambda each: each.name
)
def test_checkpoints_of_llavas_own_code_are_seen_as_they_are_loaded(format_) -> None:
    assert_the_same_as_loaded(format_.folder)


def test_the_runs_template_and_length_are_used(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path / "tiny")
    assert look_at(config_of(folder)).rendering.template.name == "llava_v0"
    changed = look_at(config_of(folder, template="vicuna_v1", max_tokens=100)).rendering
    assert (changed.template.name, changed.context_tokens) == ("vicuna_v1", 100)
    align = config_for("align", str(folder), (DataSource("x.json"),))
    assert look_at(align).rendering.template.name == "plain"


def test_a_base_that_cannot_be_read_is_refused_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere"):
        look_at(config_of(tmp_path / "nowhere"))
    folder = write_tiny_checkpoint(tmp_path / "tiny")
    edit_config(folder, model_type="gpt2")
    with pytest.raises(CheckpointError, match="gpt2"):
        look_at(config_of(folder))

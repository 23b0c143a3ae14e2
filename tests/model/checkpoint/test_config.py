"""A config.json that cannot be used is refused when it is read, by its file, its key and what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from model import checkpoint
from model.checkpoint import CheckpointError, CheckpointFormatError, UnsupportedCheckpoint
from tests.model.tiny import edit_config, write_tiny_checkpoint


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(written, tmp_path / "tiny"))


@pytest.mark.parametrize(
    ("changes", "error", "named"),
    [
        ({"model_type": "gpt2"}, UnsupportedCheckpoint, r"config.json .*'gpt2'.*'llava'"),
        ({"text_config": None}, UnsupportedCheckpoint, r"config.json.*vision_config and text_config"),
        (
            {"vision_config": {"model_type": "siglip_vision_model"}},
            UnsupportedCheckpoint,
            r"'siglip_vision_model'",
        ),
        ({"template": None}, CheckpointFormatError, r"never guessed.*--template.*llava_v0"),
        ({"template": "v9"}, CheckpointFormatError, r"'v9'.*llava_v0"),
        ({"template": ["llava_v0"]}, CheckpointFormatError, r"template.*llava_v0"),
        ({"projector_type": "resampler"}, CheckpointFormatError, r"'resampler'.*mlp2x_gelu"),
        ({"projector_type": "linear"}, CheckpointFormatError, r"linear_2.*projector_type"),
        ({"pixels": {"size": 64}}, CheckpointFormatError, r"64.*32"),
        ({"pixels": {"size": 32, "fit": "stretch"}}, CheckpointFormatError, r"config.json.*'stretch'"),
        ({"pixels": 32}, CheckpointFormatError, r"pixels is 32"),
        ({"image_token_index": "x"}, CheckpointFormatError, r"config.json"),
        ({"image_token_index": -200}, CheckpointFormatError, r"-200.* 0 to 3\d\d"),
        ({"image_token_index": 300}, CheckpointFormatError, r"config.json.*image_token_index 300.*added"),
        ({"image_token_index": 2}, CheckpointFormatError, r"config.json.*image_token_index 2.*</s>"),
        (
            {"vision_feature_select_strategy": "full"},
            UnsupportedCheckpoint,
            r"config.json.*'full'.*'default'",
        ),
        (
            {"vision_feature_layer": [-2, -1]},
            UnsupportedCheckpoint,
            r"config.json.*vision_feature_layer \[-2, -1\]",
        ),
        (
            {"vision_feature_layer": -9},
            CheckpointFormatError,
            r"config.json.*vision_feature_layer -9.*-4 to 3",
        ),
        ({"vision_feature_layer": 4}, CheckpointFormatError, r"vision_feature_layer 4"),
        ({"dtype": "float99"}, CheckpointFormatError, r"config.json.*dtype 'float99'.*--dtype"),
        ({"torch_dtype": ["os"]}, CheckpointFormatError, r"torch_dtype \['os'\]"),
        ({"auto_map": {"AutoModel": "x.Y"}}, UnsupportedCheckpoint, r"config.json.*auto_map.*never run"),
        (
            {"quantization_config": {"quant_method": "gptq"}},
            UnsupportedCheckpoint,
            r"quantization_config.*full",
        ),
        ({"per_layer_config": {"0": {}}}, UnsupportedCheckpoint, r"per_layer_config"),
        ({"mm_use_im_start_end": True}, CheckpointFormatError, r"<im_start>"),
    ],
)
def test_a_config_that_cannot_be_used_is_named(
    folder: Path, changes: dict, error: type[CheckpointError], named: str
) -> None:
    edit_config(folder, **changes)
    with pytest.raises(error, match=f"(?s){named}"):
        checkpoint.load(folder)


@pytest.mark.parametrize(
    ("part", "changes", "error", "named"),
    [
        ("vision_config", {"patch_size": 0}, CheckpointFormatError, r"vision_config\.patch_size is 0"),
        ("vision_config", {"patch_size": 64}, CheckpointFormatError, r"patch_size is 64.*image_size.*32"),
        ("vision_config", {"patch_size": [8, 8]}, CheckpointFormatError, r"patch_size is \[8, 8\]"),
        ("vision_config", {"num_attention_heads": 0}, CheckpointFormatError, "config.json"),
        ("vision_config", {"hidden_act": "no_such"}, CheckpointFormatError, "no_such"),
        ("vision_config", {"dtype": "float99"}, CheckpointFormatError, r"vision_config\.dtype 'float99'"),
        ("vision_config", {"auto_map": {"A": "b.C"}}, UnsupportedCheckpoint, r"vision_config\.auto_map"),
        (
            "text_config",
            {"quantization_config": {"a": 1}},
            UnsupportedCheckpoint,
            r"text_config\.quantization",
        ),
        (
            "text_config",
            {"max_position_embeddings": 0},
            CheckpointFormatError,
            r"max_position_embeddings is 0",
        ),
        ("text_config", {"num_attention_heads": 0}, CheckpointFormatError, "config.json"),
        ("text_config", {"model_type": "no_such"}, UnsupportedCheckpoint, "config.json .*no_such"),
        ("text_config", {"model_type": ["llama"]}, UnsupportedCheckpoint, "config.json .*llama"),
    ],
)
def test_a_part_of_the_config_that_cannot_be_used_is_named(
    folder: Path, part: str, changes: dict, error: type[CheckpointError], named: str
) -> None:
    edit_config(folder, **{part: json.loads((folder / "config.json").read_text())[part] | changes})
    with pytest.raises(error, match=f"(?s){named}"):
        checkpoint.load(folder)


def test_a_config_nested_without_end_is_named(folder: Path) -> None:
    (folder / "config.json").write_text('{"a":' * 100_000)
    with pytest.raises(CheckpointFormatError, match=r"config\.json"):
        checkpoint.load(folder)

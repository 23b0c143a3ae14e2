"""What can be wrong with somebody's checkpoint: each fault names its file, what was expected and what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model import checkpoint
from model.checkpoint import (
    CheckpointFormatError,
    CheckpointNotFound,
    DeviceError,
    IncompleteCheckpoint,
    NoRoom,
    UnsupportedCheckpoint,
    room,
)
from model.llava import Llava
from tests.model.checkpoint.made import write_parts, write_projector
from tests.model.tiny import edit_config, write_tiny_checkpoint


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Llava]:
    folder = tmp_path_factory.mktemp("made") / "parts"
    return folder, write_parts(folder)


@pytest.fixture
def parts(made: tuple[Path, Llava], tmp_path: Path) -> Path:
    """A copy of full, base and tower that a test may break."""
    return Path(shutil.copytree(made[0], tmp_path / "parts"))


def load(parts: Path, name: str = "full", **options: object) -> checkpoint.LoadedModel:
    return checkpoint.load(parts / name, vision_tower=parts / "tower", device="cpu", **options)


def sharded(folder: Path) -> list[str]:
    """Split the weights into two shards with an index."""
    tensors = load_file(folder / "model.safetensors")
    keys = sorted(tensors)
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    half = len(keys) // 2
    for name, some in zip(names, (keys[:half], keys[half:]), strict=True):
        save_file({key: tensors[key] for key in some}, folder / name)
    where = {key: names[keys.index(key) >= half] for key in keys}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    (folder / "model.safetensors").unlink()
    return names


def test_these_parts_are_whole(parts: Path) -> None:
    assert load(parts).template.name == "llava_v1"
    sharded(parts / "full")
    assert load(parts).template.name == "llava_v1"


def test_a_missing_shard_is_named(parts: Path) -> None:
    second = sharded(parts / "full")[1]
    (parts / "full" / second).unlink()
    with pytest.raises(
        CheckpointNotFound, match=rf"full lacks {second}, one of 2 shards .*index\.json names; copy"
    ):
        load(parts)


@pytest.mark.parametrize("kept", [4, 100, -1000])
def test_truncated_safetensors_are_named_with_their_size(parts: Path, kept: int) -> None:
    path = parts / "full" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    size = f"{path.stat().st_size:,}"
    with pytest.raises(
        CheckpointFormatError, match=rf"model\.safetensors is cut short or .*{size} bytes.*again"
    ):
        load(parts)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
PAGE = b"\n<!DOCTYPE html><html><body>Sign in</body></html>"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            LFS,
            r"is a pointer of git LFS \(\d+ bytes\), not the weights.*`git lfs pull` in .*full, or download",
        ),
        (PAGE, r"is a web page, not weights: .*download that file again"),
        (b"neither", r"is cut short or damaged .* 7 bytes"),
    ],
    ids=["LFS", "web page", "noise"],
)
def test_what_stands_in_the_place_of_weights_is_told_in_our_words(
    parts: Path, name: str, content: bytes, said: str
) -> None:
    (parts / "full" / "model.safetensors").unlink()
    (parts / "full" / name).write_bytes(content)
    with pytest.raises(CheckpointFormatError, match=rf"{name} {said}") as refused:
        load(parts)
    assert "weights_only" not in str(refused.value)


def test_weights_without_tensors_are_named(parts: Path) -> None:
    path = parts / "full" / "model.safetensors"
    save_file({}, path)
    with pytest.raises(CheckpointFormatError, match=r"model\.safetensors holds no tensors, though .*again"):
        load(parts)
    path.unlink()
    index = parts / "full" / "model.safetensors.index.json"
    index.write_text('{"weight_map": {}}')
    with pytest.raises(
        CheckpointFormatError, match=r"model\.safetensors\.index\.json holds no tensors, though"
    ):
        load(parts)


def test_wrong_shapes_are_named_with_both(parts: Path) -> None:
    path = parts / "full" / "model.safetensors"
    key = "model.layers.1.mlp.up_proj.weight"
    save_file(load_file(path) | {key: torch.zeros(63, 32)}, path)
    with pytest.raises(
        CheckpointFormatError, match=rf"model\.safetensors .*{key} is 63 x 32, expected 64 x 32; copy"
    ):
        load(parts)


def test_weights_in_whole_numbers_are_named(parts: Path) -> None:
    path = parts / "full" / "model.safetensors"
    key = "model.layers.1.mlp.up_proj.weight"
    save_file(load_file(path) | {key: torch.zeros(64, 32, dtype=torch.int8)}, path)
    with pytest.raises(CheckpointFormatError, match=rf"model\.safetensors holds {key} as int8; expected"):
        load(parts)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        (
            {"mm_projector_type": "mlp3x_gelu"},
            UnsupportedCheckpoint,
            r"config\.json .*'mlp3x_gelu'; only linear and",
        ),
        (
            {"mm_projector_type": "linear"},
            CheckpointFormatError,
            r"config\.json .*'linear', but the weights .* a mlp",
        ),
        (
            {"vocab_size": 999},
            CheckpointFormatError,
            r"config\.json .* 999, but .*embed_tokens.* rows; copy",
        ),
        (
            {"hidden_size": 48, "head_dim": 8},
            CheckpointFormatError,
            r"model\.safetensors does not fit its config",
        ),
        (
            {"num_hidden_layers": 3},
            CheckpointFormatError,
            r"full lack 9 tensors by its config\.json, .*layers\.2",
        ),
        (
            {"num_hidden_layers": 1},
            CheckpointFormatError,
            r"full hold, too many, 9 tensors by its config\.json",
        ),
        (
            {"mm_hidden_size": 1024},
            CheckpointFormatError,
            r"mm_hidden_size 1024, but its picture tower is 32 wide",
        ),
        ({"image_aspect_ratio": "anyres"}, UnsupportedCheckpoint, r"'anyres', LLaVA 1\.6's tiles"),
        ({"mm_vision_select_feature": "cls_patch"}, UnsupportedCheckpoint, r"'cls_patch'; only 'patch'"),
        ({"max_sequence_length": "long"}, CheckpointFormatError, r"max_sequence_length 'long'"),
        (
            {"model_type": "llava_mistral"},
            UnsupportedCheckpoint,
            r"model_type 'llava_mistral'; expected 'llava'",
        ),
        ({"auto_map": {"AutoModel": "x.Y"}}, UnsupportedCheckpoint, r"auto_map.*never run"),
    ],
)
def test_a_config_that_contradicts_the_weights_is_named(
    parts: Path, changes: dict, error: type[Exception], said: str
) -> None:
    edit_config(parts / "full", **changes)
    with pytest.raises(error, match=said):
        load(parts)


def test_a_checkpoint_without_a_tokenizer_is_named(parts: Path) -> None:
    (parts / "full" / "tokenizer.json").unlink()
    with pytest.raises(
        CheckpointNotFound, match=r"full has no tokenizer\.json and no tokenizer\.model; copy one"
    ):
        load(parts)


def test_a_folder_of_another_model_is_named(parts: Path) -> None:
    with pytest.raises(
        UnsupportedCheckpoint,
        match=r"base.config\.json .*'llama': it is a language .*--model-base",
    ):
        load(parts, "base")
    with pytest.raises(
        UnsupportedCheckpoint, match=r"tower.config\.json .*: it is a picture .*--vision-tower"
    ):
        load(parts, "tower")


@pytest.mark.parametrize("kind", ["mistral", "gemma", "qwen2", "phi3"])
def test_other_language_models_are_refused_though_names_and_shapes_are_a_llamas(
    parts: Path, made: tuple[Path, Llava], kind: str
) -> None:
    folder = write_tiny_checkpoint(parts / "tiny")
    text = json.loads((folder / "config.json").read_text())["text_config"]
    edit_config(folder, text_config=text | {"model_type": kind})
    with pytest.raises(
        UnsupportedCheckpoint, match=rf"text_config\.model_type '{kind}'; only 'llama' is read"
    ):
        load(parts, "tiny")
    write_projector(parts / "projector", made[1], parts / "full")
    edit_config(parts / "base", model_type=kind)
    with pytest.raises(
        UnsupportedCheckpoint, match=rf"base.config\.json says model_type '{kind}'; a base must"
    ):
        load(parts, "projector", model_base=parts / "base")


def test_a_partial_checkpoint_without_its_base_is_told_what_it_needs(
    parts: Path, made: tuple[Path, Llava]
) -> None:
    write_projector(parts / "projector", made[1], parts / "full")
    with pytest.raises(
        IncompleteCheckpoint, match=r"projector alone, it was made on org/base; give .*--model-base"
    ):
        load(parts, "projector")


def test_a_base_for_what_is_complete_is_refused(parts: Path) -> None:
    with pytest.raises(
        UnsupportedCheckpoint, match=r"full is a complete checkpoint and needs no base; leave out"
    ):
        load(parts, model_base=parts / "base")


def test_a_base_without_weights_or_of_another_kind_is_named(parts: Path, made: tuple[Path, Llava]) -> None:
    write_projector(parts / "projector", made[1], parts / "full")
    with pytest.raises(UnsupportedCheckpoint, match=r"'clip_vision_model'; a base must be .*--model-base"):
        load(parts, "projector", model_base=parts / "tower")
    (parts / "tower" / "config.json").unlink()
    with pytest.raises(CheckpointFormatError, match=r"tower holds no language model; .*--model-base"):
        load(parts, "projector", model_base=parts / "tower")
    (parts / "base" / "model.safetensors").unlink()
    with pytest.raises(CheckpointNotFound, match=r"base has no weights; expected model\.safetensors or"):
        load(parts, "projector", model_base=parts / "base")


def test_a_tower_that_is_none_is_named(parts: Path) -> None:
    with pytest.raises(
        UnsupportedCheckpoint, match=r"base.config\.json says model_type 'llama'; a picture tower must"
    ):
        checkpoint.load(parts / "full", vision_tower=parts / "base")


def test_a_model_larger_than_the_memory_is_told_before_it_is_read(
    parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "free_bytes", lambda device: 1000)
    with pytest.raises(NoRoom, match=r"full takes 0\.\d GB as float32, but cpu has 0\.0 GB free; choose"):
        load(parts)


def test_an_unknown_device_map_is_named(parts: Path) -> None:
    with pytest.raises(DeviceError, match=r"'even'; choose one of: none, auto"):
        load(parts, device_map="even")


def test_a_config_never_reaches_out_of_its_folder_for_a_tower(parts: Path) -> None:
    edit_config(parts / "full", mm_vision_tower=str(parts / "tower"))
    with pytest.raises(
        IncompleteCheckpoint, match=r"by a path, .*tower, which is not followed.*--vision-tower"
    ):
        checkpoint.load(parts / "full")

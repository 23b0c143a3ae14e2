"""A delta and its base add up to the model, as exactly as numbers of its format can."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from model import checkpoint
from model.checkpoint.key_names import LLAMA, ORIGINAL_MLP
from model.checkpoint.shards import write_shards
from model.checkpoint_errors import CheckpointNotFound
from model.checkpoint_export.delta import Rounding, write_delta
from model.checkpoint_export.new_folder import ExportError
from model.checkpoint_export.source import Source

from .models import tensors_of, tiny

LANGUAGE_KEYS = ("model.embed_tokens.", "model.layers.", "model.norm.", "lm_head.")


def language_of(source: Source) -> dict[str, torch.Tensor]:
    named = {ORIGINAL_MLP.on_disk(name): tensor for name, tensor in tensors_of(source.loaded).items()}
    return {key: tensor.clone() for key, tensor in named.items() if key and key.startswith(LANGUAGE_KEYS)}


def a_base(source: Source, folder: Path, *, rows: int | None = None, **changed: torch.Tensor) -> Path:
    """The language model as it was before it was trained: near, and perhaps with fewer words."""
    folder.mkdir()
    torch.manual_seed(1)
    tensors = {
        key: (tensor + 0.02 * torch.randn(tensor.shape)).to(tensor.dtype)
        for key, tensor in language_of(source).items()
    }
    for key in ("model.embed_tokens.weight", "lm_head.weight"):
        tensors[key] = tensors[key][:rows]
    write_shards(folder, (tensors | changed).items(), max_shard_bytes=30_000)
    return folder


def written(source: Source, base: Path, folder: Path) -> dict[str, torch.Tensor]:
    folder.mkdir()
    write_delta(folder, source, base)
    return load_file(folder / "model.safetensors")


def added_up(delta: dict[str, torch.Tensor], base: Path) -> dict[str, torch.Tensor]:
    """As LLaVA's apply_delta.py: in the format of the files, rows that the base lacks left alone."""
    summed = {key: tensor.clone() for key, tensor in delta.items()}
    for path in base.glob("*.safetensors"):
        for key, tensor in load_file(path).items():
            summed[key][: len(tensor)] += tensor
    return summed


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2.4e-7), ("float16", 1e-3), ("bfloat16", 8e-3)])
def test_delta_and_base_add_up_to_the_model(tmp_path: Path, dtype: str, tolerance: float) -> None:
    source = tiny(tmp_path / "ours", dtype=dtype)
    base = a_base(source, tmp_path / "base")
    summed = added_up(written(source, base, tmp_path / "delta"), base)
    for key, tensor in language_of(source).items():
        scale = tensor.float().abs() + 0.02
        assert ((summed[key].float() - tensor.float()).abs() / scale).max() <= tolerance, key


def test_what_the_base_lacks_is_written_as_it_is(tmp_path: Path) -> None:
    source = tiny(tmp_path / "ours")
    num_words = source.loaded.image_token_id
    base = a_base(source, tmp_path / "base", rows=num_words)
    delta = written(source, base, tmp_path / "delta")
    whole = {ORIGINAL_MLP.on_disk(name): tensor for name, tensor in tensors_of(source.loaded).items()}
    assert torch.equal(
        delta["model.embed_tokens.weight"][num_words:], whole["model.embed_tokens.weight"][num_words:]
    )
    assert torch.equal(delta["lm_head.weight"][num_words:], whole["lm_head.weight"][num_words:])
    others = [key for key in delta if not key.startswith(LANGUAGE_KEYS)]
    assert any("mm_projector" in key for key in others) and any("vision_tower" in key for key in others)
    assert all(torch.equal(delta[key], whole[key]) for key in others)


def test_what_the_base_has_is_no_longer_there_to_be_read(tmp_path: Path) -> None:
    source = tiny(tmp_path / "ours")
    delta = written(source, a_base(source, tmp_path / "base"), tmp_path / "delta")
    for key, tensor in language_of(source).items():
        assert delta[key].abs().mean() < 0.1 < tensor.abs().mean() or "layernorm" not in key


def test_tables_that_are_computed_are_zero_whatever_the_base_holds(tmp_path: Path) -> None:
    source = tiny(tmp_path / "ours")
    table = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    delta = written(source, a_base(source, tmp_path / "base", **table), tmp_path / "delta")
    tables = [tensor for key, tensor in delta.items() if key.endswith("rotary_emb.inv_freq")]
    assert len(tables) == 2 and not any(tensor.any() for tensor in tables)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_is_lost_to_rounding_is_what_reading_finds(tmp_path: Path, dtype: str) -> None:
    source = tiny(tmp_path / "ours", dtype=dtype)
    base = a_base(source, tmp_path / "base")
    (tmp_path / "delta").mkdir()
    told = write_delta(tmp_path / "delta", source, base)
    again = checkpoint.load(tmp_path / "delta", dtype=dtype, device="cpu", model_base=base)
    found = Rounding()
    for name, tensor in tensors_of(source.loaded).items():
        if LLAMA.on_disk(name) is not None:
            found.count(tensor, again.model.state_dict()[name])
    assert told == found and 0 < told.num_changed < told.num_numbers / 2


@pytest.mark.parametrize(
    ("key", "tensor", "named"),
    [
        ("model.norm.weight", torch.zeros(7), r"model\.norm\.weight is \[32\] here and \[7\]"),
        ("model.embed_tokens.weight", torch.zeros(9999, 32), r"model\.embed_tokens\.weight is"),
        (
            "model.layers.7.mlp.up_proj.weight",
            torch.zeros(2, 2),
            r"lacks, the first of them model\.layers\.7",
        ),
    ],
)
def test_another_models_base_is_named(tmp_path: Path, key: str, tensor: torch.Tensor, named: str) -> None:
    source = tiny(tmp_path / "ours")
    base = a_base(source, tmp_path / "base", **{key: tensor})
    with pytest.raises(ExportError, match=named):
        written(source, base, tmp_path / "delta")


def test_a_base_without_weights_is_named(tmp_path: Path) -> None:
    source = tiny(tmp_path / "ours")
    (tmp_path / "base").mkdir()
    with pytest.raises(CheckpointNotFound, match="base"):
        written(source, tmp_path / "base", tmp_path / "delta")

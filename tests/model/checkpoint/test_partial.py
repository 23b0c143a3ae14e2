"""Delta, projector alone and adapters, completed by their base: the same model as the whole one."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model import checkpoint
from model.checkpoint import (
    CheckpointFormatError,
    IncompleteCheckpoint,
    LoadedModel,
    weights,
)
from model.checkpoint.tensor_file import TensorFile
from model.llava import Llava
from tests.model.checkpoint.made import write_json, write_parts, write_projector


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    write_parts(tmp_path / "parts")
    return tmp_path / "parts"


def load(parts: Path, name: str, **options: object) -> LoadedModel:
    return checkpoint.load(parts / name, vision_tower=parts / "tower", device="cpu", **options)


def assert_same(found: Llava, expected: Llava, tolerance: float = 0.0) -> None:
    theirs = expected.state_dict()
    assert set(found.state_dict()) == set(theirs)
    for name, tensor in found.state_dict().items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=tolerance, msg=name)


def write_delta(parts: Path, *, rows: int = 0, tables: bool = True) -> None:
    """parts/delta: full less base, in float16 and two shards whose borders are not the base's."""
    full = load_file(parts / "full" / "model.safetensors")
    base = load_file(parts / "base" / "model.safetensors")
    for key in ("model.embed_tokens.weight", "lm_head.weight"):
        base[key] = base[key][: len(base[key]) - rows]
    scale = dict.fromkeys(base, 0.5)
    save_file({key: value * scale[key] for key, value in base.items()}, parts / "base" / "model.safetensors")
    delta = {}
    for key, value in full.items():
        delta[key] = value.clone()
        if key in base:
            delta[key][: len(base[key])] -= base[key] * scale[key]
    delta["model.norm.weight"] = torch.full((32,), 0.01)
    if tables:
        delta |= {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.zeros(4) for i in range(2)}
    (parts / "delta").mkdir()
    write_json(parts / "delta", json.loads((parts / "full" / "config.json").read_text()))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (parts / "delta" / name).write_bytes((parts / "full" / name).read_bytes())
    keys = sorted(delta)
    where = {key: f"pytorch_model-0000{1 + index % 2}-of-00002.bin" for index, key in enumerate(keys)}
    for file in set(where.values()):
        torch.save({key: delta[key] for key in keys if where[key] == file}, parts / "delta" / file)
    write_json(parts / "delta", {"weight_map": where}, "pytorch_model.bin.index.json")


@pytest.mark.parametrize("tables", [True, False])
@pytest.mark.parametrize("rows", [0, 1])
def test_a_delta_and_its_base_are_the_whole_model(parts: Path, rows: int, tables: bool) -> None:
    whole = load(parts, "full").model
    write_delta(parts, rows=rows, tables=tables)
    found = load(parts, "delta", model_base=parts / "base")
    with torch.no_grad():
        whole.model.language_model.norm.weight.fill_(0.01 + 0.5 * 1.5)
    assert_same(found.model, whole, 1e-6)
    assert any("delta" in sentence for sentence in found.told)


def test_of_a_delta_and_of_its_base_one_shard_at_a_time_is_open(
    parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_delta(parts)
    base = load_file(parts / "base" / "model.safetensors")
    where = {
        key: f"model-0000{1 + index // 8}-of-00004.safetensors" for index, key in enumerate(sorted(base))
    }
    for file in set(where.values()):
        save_file({key: each for key, each in base.items() if where[key] == file}, parts / "base" / file)
    write_json(parts / "base", {"weight_map": where}, "model.safetensors.index.json")
    (parts / "base" / "model.safetensors").unlink()
    open_now: list[Path] = []
    most: Counter[str] = Counter()

    class Counted(TensorFile):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            open_now.append(path)
            folder = path.parent.name
            most[folder] = max(most[folder], sum(each.parent.name == folder for each in open_now))

        def close(self) -> None:
            super().close()
            if self.path in open_now:
                open_now.remove(self.path)

    monkeypatch.setattr(weights, "TensorFile", Counted)
    load(parts, "delta", model_base=parts / "base")
    assert most == {"delta": 1, "base": 1, "tower": 1} and open_now == []
    assert len(set(where.values())) == 3


def test_a_delta_alone_is_told_and_of_another_base_too(parts: Path) -> None:
    write_delta(parts)
    with pytest.raises(
        IncompleteCheckpoint,
        match=r"is a delta \(.*inv_freq is zero\).*that LLaMA with --model-base",
    ):
        load(parts, "delta")
    base = load_file(parts / "base" / "model.safetensors")
    save_file(
        {key: value for key, value in base.items() if "layers.1" not in key},
        parts / "base" / "model.safetensors",
    )
    with pytest.raises(
        CheckpointFormatError, match=r"base lacks 9 tensors .*layers\.1.*the delta was made from"
    ):
        load(parts, "delta", model_base=parts / "base")
    save_file({key: torch.zeros(3, 3) for key in base}, parts / "base" / "model.safetensors")
    with pytest.raises(CheckpointFormatError, match=r"is the difference to .* 3\].*--model-base"):
        load(parts, "delta", model_base=parts / "base")


@pytest.mark.parametrize("projector_type", ["linear", "mlp2x_gelu"])
def test_a_projector_its_base_and_a_tower_are_the_whole_model(tmp_path: Path, projector_type: str) -> None:
    parts = tmp_path / "parts"
    model = write_parts(parts, projector_type=projector_type)
    write_projector(parts / "projector", model, parts / "full")
    found = load(parts, "projector", model_base=parts / "base")
    assert_same(found.model, load(parts, "full").model)


@pytest.mark.parametrize("whole_table", [False, True])
def test_a_projector_brings_the_rows_of_its_start_and_end_tokens(tmp_path: Path, whole_table: bool) -> None:
    parts = tmp_path / "parts"
    model = write_parts(parts)
    width, rows = 32, model.config.text_config.vocab_size
    table = torch.cat([torch.zeros(rows, width), torch.full((1, width), 7.0), torch.full((1, width), 8.0)])
    extra = {"model.embed_tokens.weight": table if whole_table else table[-2:]}
    write_projector(parts / "projector", model, parts / "full", extra, mm_use_im_start_end=True)
    found = load(parts, "projector", model_base=parts / "base")
    assert found.image_wrap == ("<im_start>", "<im_end>")
    ids = [found.tokenizer.convert_tokens_to_ids(token) for token in found.image_wrap]
    words = found.model.get_input_embeddings().weight
    assert [float(words[i].mean()) for i in ids] == [7.0, 8.0]
    assert found.model.lm_head.weight.shape == words.shape


def test_a_projector_for_another_base_is_told(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    model = write_parts(parts)
    extra = {"model.embed_tokens.weight": torch.zeros(5, 32)}
    write_projector(parts / "projector", model, parts / "full", extra)
    with pytest.raises(
        CheckpointFormatError, match=r"mm_projector\.bin holds 5 rows .*another base.*--model-base"
    ):
        load(parts, "projector", model_base=parts / "base")


# Whether the base is the one that an adapter was made on

"""Whatever is written is read back: equal tensors, prompts and greedy answers, for every layout and source."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor

from model import checkpoint
from model.checkpoint import LoadedModel
from model.checkpoint.key_names import CLIP, LLAMA, ORIGINAL_MLP, is_computed
from model.checkpoint.shards import write_shards
from model.checkpoint.weights import Weights
from model.checkpoint_export.delta import write_delta
from model.checkpoint_export.llava_hf import write_llava_hf
from model.checkpoint_export.merged import write_merged
from model.checkpoint_export.original import original_tensors, write_original
from model.checkpoint_export.source import Source

from ..checkpoint.made import write_parts
from .models import (
    DEMO,
    REFERENCE,
    assert_equal_tensors,
    our_answer,
    our_ids,
    picture,
    tensors_of,
    tiny,
)

WRITERS: dict[str, Callable[[Path, Source], None]] = {
    "llava-hf": write_llava_hf,
    "original": write_original,
    "merged": write_merged,
}
OWN = {
    "tied MLP, crop": {"tied": True},
    "MLP, pad": {"fit": "pad"},
    "linear": {"projector_type": "linear"},
    "linear, tied, pad, v1": {
        "projector_type": "linear",
        "tied": True,
        "fit": "pad",
        "template": "vicuna_v1",
    },
}
REFERENCES = {
    # name of the source: folder, its base
    "v0, linear, start and end tokens": ("full_v0_linear/LLaVA-tiny-v0", None),
    "v1.5": ("full_v15_mlp/llava-v1.5-tiny", None),
    "LoRA": ("lora_v15/llava-v1.5-tiny-lora", "lora_v15/vicuna-tiny-v1.5"),
}


def written(source: Source, layout: str, folder: Path) -> Path:
    folder.mkdir()
    WRITERS[layout](folder, source)
    return folder


def read(folder: Path, base: Path | None = None, template: str | None = None) -> Source:
    """In the formats that the files have, as scripts/convert_checkpoint.py reads."""
    loaded = checkpoint.load(folder, dtype=None, device="cpu", model_base=base, template=template)
    return Source(loaded, folder=base or folder)


def read_again(source: Source, layout: str, folder: Path) -> Source:
    """Written and read, without a word on the template: what was written names its own."""
    return read(written(source, layout, folder))


def in_one_format(loaded: LoadedModel) -> LoadedModel:
    """As it would be asked: files may hold a tower in another format than the rest."""
    return replace(loaded, model=copy.deepcopy(loaded.model).float())


def assert_same_model(ours: Source, again: Source) -> None:
    assert_equal_tensors(tensors_of(ours.loaded), tensors_of(again.loaded))
    for name in ("template", "pixels", "num_patches", "image_token_id", "image_wrap", "context_tokens"):
        assert getattr(again.loaded, name) == getattr(ours.loaded, name), name
    assert our_ids(again.loaded) == our_ids(ours.loaded)
    our_logits, answer = our_answer(in_one_format(ours.loaded), picture(), num_tokens=6)
    logits, their_answer = our_answer(in_one_format(again.loaded), picture(), num_tokens=6)
    assert answer == their_answer and torch.equal(our_logits, logits)


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("name", OWN)
def test_our_own_models_read_back(tmp_path: Path, name: str, layout: str) -> None:
    source = tiny(tmp_path / "ours", **OWN[name])
    assert_same_model(source, read_again(source, layout, tmp_path / "written"))


@pytest.mark.parametrize("layout", WRITERS)
def test_the_shipped_model_reads_back(tmp_path: Path, layout: str) -> None:
    source = read(DEMO)
    assert_same_model(source, read_again(source, layout, tmp_path / "written"))


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
@pytest.mark.parametrize("layout", ["llava-hf", "original"])
def test_half_precision_reads_back(tmp_path: Path, layout: str, half: str) -> None:
    source = tiny(tmp_path / "ours", dtype=half, projector_type="linear")
    assert_same_model(source, read_again(source, layout, tmp_path / "written"))


def mixed(folder: Path) -> dict[str, Tensor]:
    """full and tower of a model whose tower is in float32, with numbers that no narrower format holds, and the rest in
    float16; its tensors by their names in memory."""
    write_parts(folder)
    path = folder / "full" / "model.safetensors"
    full = {key: tensor.half() for key, tensor in load_file(path).items()}
    save_file(full, path, metadata={"format": "pt"})
    tower = load_file(folder / "tower" / "model.safetensors")
    assert any(not torch.equal(tensor.half().float(), tensor) for tensor in tower.values())
    named = {ORIGINAL_MLP.in_memory(key): tensor for key, tensor in full.items()}
    named |= {CLIP.in_memory(key): tensor for key, tensor in tower.items()}
    return {name: tensor for name, tensor in named.items() if name is not None}


@pytest.mark.parametrize("first", WRITERS)
@pytest.mark.parametrize("then", WRITERS)
def test_each_tensor_keeps_its_own_format_through_any_two_layouts(
    tmp_path: Path, first: str, then: str
) -> None:
    before = mixed(tmp_path / "parts")
    source = Source.read(
        str(tmp_path / "parts" / "full"), vision_tower=str(tmp_path / "parts" / "tower"), dtype="stored"
    )
    assert source.main_dtype == torch.float16
    there = Source.read(str(written(source, first, tmp_path / first)))
    back = written(there, then, tmp_path / f"{first}-{then}")
    assert_equal_tensors(before, tensors_of(Source.read(str(back)).loaded))
    assert json.loads((back / "config.json").read_text()).get("torch_dtype", "float16") == "float16"
    assert there.num_bytes == sum(tensor.nbytes for tensor in before.values())


def test_what_an_adapter_is_added_to_is_rounded_to_its_own_format(tmp_path: Path) -> None:
    base = tiny(tmp_path / "full", dtype="bfloat16")
    checkpoint.save(tmp_path / "base", base.loaded.model, base.loaded.tokenizer)
    adapted = get_peft_model(base.loaded.model, LoraConfig(r=2, target_modules=["q_proj"]))
    adapted.save_pretrained(tmp_path / "adapter")
    merged = Source.read(str(tmp_path / "base"), adapter=str(tmp_path / "adapter"))
    assert {tensor.dtype for tensor in tensors_of(merged.loaded).values()} == {torch.bfloat16}


@pytest.fixture(scope="module")
def reference_source():
    if not REFERENCE.is_dir():
        pytest.skip("the reference checkpoints are in the shared data, which is not here")
    sources: dict[str, Source] = {}

    def source_of(name: str) -> Source:
        if name not in sources:
            folder, base = REFERENCES[name]
            sources[name] = read(REFERENCE / folder, REFERENCE / base if base else None)
        return sources[name]

    return source_of


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("name", REFERENCES)
def test_llavas_own_checkpoints_read_back(tmp_path: Path, reference_source, name: str, layout: str) -> None:
    source = reference_source(name)
    assert_same_model(source, read_again(source, layout, tmp_path / "written"))


def test_a_delta_reads_back_with_its_base(tmp_path: Path) -> None:
    source = tiny(tmp_path / "ours")
    base, delta = tmp_path / "base", tmp_path / "delta"
    base.mkdir()
    write_shards(
        base,
        [
            (key, tensor + 0.01)
            for key, tensor in original_tensors(source)
            if LLAMA.in_memory(key) is not None
        ],
    )
    delta.mkdir()
    write_delta(delta, source, base)
    again = Source(
        checkpoint.load(delta, device="cpu", model_base=base, template=source.loaded.template.name)
    )
    assert our_ids(again.loaded) == our_ids(source.loaded)
    ours, theirs = tensors_of(source.loaded), tensors_of(again.loaded)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(theirs[name], tensor, rtol=2e-7, atol=2e-8)


@pytest.mark.parametrize("name", ["v0, linear, start and end tokens", "v1.5"])
def test_from_llavas_own_to_llava_hf_and_back_every_tensor_of_the_file_is_as_it_was(
    tmp_path: Path, reference_source, name: str
) -> None:
    there = read(written(reference_source(name), "llava-hf", tmp_path / "hf"))
    back = load_file(written(there, "original", tmp_path / "back") / "model.safetensors")
    weights = Weights.of_folder(REFERENCE / REFERENCES[name][0])
    before: dict[str, Tensor] = {key: weights.get(key) for key in weights.keys if not is_computed(key)}
    assert_equal_tensors(before, {key: tensor for key, tensor in back.items() if key in before})
    assert all("vision_tower" in key for key in back.keys() - before.keys())

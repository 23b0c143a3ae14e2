"""What is written in LLaVA's own layout has its names, its config and its tower, and loses no number."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer
from transformers.models.clip.modeling_clip import CLIPVisionModel
from transformers.models.llama.modeling_llama import LlamaForCausalLM

from model.checkpoint.key_names import (
    EMBEDDING_KEY,
    HEAD_KEY,
    ORIGINAL_LINEAR,
    ORIGINAL_MLP,
    TOWER,
    is_computed,
)
from model.checkpoint_export.new_folder import ExportError
from model.checkpoint_export.original import write_original
from model.checkpoint_export.source import Source
from model.checkpoint_export.vocabulary import Vocabulary
from model.pixels import CLIP_MEAN

from .models import REFERENCE, assert_equal_tensors, tensors_of, tiny


def written(source: Source, folder: Path) -> Path:
    folder.mkdir()
    write_original(folder, source)
    return folder


def with_mean_rows(source: Source) -> Source:
    """As if <image> had been added when a checkpoint of LLaVA's own was read."""
    for name, table in tensors_of(source.loaded).items():
        if name in (EMBEDDING_KEY, HEAD_KEY):
            table[-1] = table[:-1].mean(dim=0)
    return source


@pytest.mark.parametrize(
    ("projector_type", "layout"), [("linear", ORIGINAL_LINEAR), ("mlp2x_gelu", ORIGINAL_MLP)]
)
@pytest.mark.parametrize("tied", [False, True])
def test_every_tensor_is_there_under_its_own_name(
    tmp_path: Path, projector_type: str, layout, tied: bool
) -> None:
    source = tiny(tmp_path / "ours", projector_type=projector_type, tied=tied)
    folder = written(source, tmp_path / "theirs")
    expected = {
        name: tensor for name, tensor in tensors_of(source.loaded).items() if not (tied and name == HEAD_KEY)
    }
    read = {layout.in_memory(key): tensor for key, tensor in load_file(folder / "model.safetensors").items()}
    assert_equal_tensors(expected, read)


@pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="the reference checkpoints are in the shared data, not here"
)
@pytest.mark.parametrize(
    ("projector_type", "reference"),
    [
        ("linear", "full_v0_linear/LLaVA-tiny-v0"),
        ("mlp2x_gelu", "full_v15_mlp_tower_tuned/llava-v1.6-tiny-tower"),
    ],
)
def test_names_and_config_keys_are_those_of_the_reference(
    tmp_path: Path, projector_type: str, reference: str
) -> None:
    folder = written(tiny(tmp_path / "ours", projector_type=projector_type), tmp_path / "theirs")
    tensors = load_file(folder / "model.safetensors")
    assert {type_of(key) for key in tensors if "vision_tower" not in key} == {
        type_of(key)
        for key in keys_in(REFERENCE / reference)
        if "vision_tower" not in key and not is_computed(key)
    }
    config = json.loads((folder / "config.json").read_text())
    theirs = json.loads((REFERENCE / reference / "config.json").read_text())
    notes = {
        "_name_or_path",
        "transformers_version",
        "sep_image_conv_front",
        "mm_projector_lr",
        "mm_vision_tower_lr",
    }
    assert set(theirs) - set(config) - notes == set()


def keys_in(folder: Path) -> list[str]:
    if (index := folder / "model.safetensors.index.json").is_file():
        return list(json.loads(index.read_text())["weight_map"])
    return list(torch.load(folder / "pytorch_model.bin", weights_only=True, map_location="meta"))


def type_of(key: str) -> str:
    """A key without the number of its layer."""
    return ".".join("N" if part.isdigit() and "layers" in key else part for part in key.split("."))


def test_plain_llama_reads_the_language_model(tmp_path: Path) -> None:
    source = tiny(tmp_path / "ours")
    folder = written(source, tmp_path / "theirs")
    values = json.loads((folder / "config.json").read_text()) | {"model_type": "llama"}
    (folder / "config.json").write_text(json.dumps(values))
    llama, report = LlamaForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert torch.equal(llama.lm_head.weight, source.loaded.model.lm_head.weight)
    ids = torch.arange(20).unsqueeze(0)
    with torch.inference_mode():
        assert torch.equal(llama(ids).logits, source.loaded.model(ids).logits)


def test_the_tower_lies_beside_it_as_a_model_of_its_own(tmp_path: Path) -> None:
    source = tiny(tmp_path / "ours", fit="pad")
    folder = written(source, tmp_path / "theirs")
    config = json.loads((folder / "config.json").read_text())
    assert (config["mm_vision_tower"], config["unfreeze_mm_vision_tower"]) == ("vision_tower", True)
    assert (config["image_aspect_ratio"], config["mm_hidden_size"]) == ("pad", 32)
    tower, report = CLIPVisionModel.from_pretrained(folder / "vision_tower", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    pixels = torch.randn(1, 3, 32, 32, generator=torch.manual_seed(0))
    with torch.inference_mode():
        ours = source.loaded.model.model.vision_tower(pixels).last_hidden_state
        assert torch.equal(tower(pixels).last_hidden_state, ours)
    preparation = json.loads((folder / "vision_tower" / "preprocessor_config.json").read_text())
    assert (preparation["image_processor_type"], "do_pad" in preparation) == ("CLIPImageProcessor", False)
    assert preparation["image_mean"] == list(CLIP_MEAN)


def test_a_tower_inside_is_the_tower_beside(tmp_path: Path) -> None:
    folder = written(tiny(tmp_path / "ours"), tmp_path / "theirs")
    inside = {
        key.removeprefix("model.vision_tower.vision_tower."): tensor
        for key, tensor in load_file(folder / "model.safetensors").items()
        if ORIGINAL_MLP.in_memory(key).startswith(TOWER)
    }
    assert_equal_tensors(inside, load_file(folder / "vision_tower" / "model.safetensors"))


def test_the_tokenizer_begins_every_text_as_llamas_does(tmp_path: Path) -> None:
    source = tiny(tmp_path / "ours")
    tokenizer = AutoTokenizer.from_pretrained(written(source, tmp_path / "theirs"))
    plain = source.loaded.tokenizer("the cat", add_special_tokens=False)["input_ids"]
    assert tokenizer("the cat")["input_ids"] == [source.loaded.tokenizer.bos_token_id, *plain]


def test_tokenizer_files_are_in_the_words_of_older_versions(tmp_path: Path) -> None:
    source = tiny(tmp_path / "ours")
    values = json.loads((written(source, tmp_path / "theirs") / "tokenizer.json").read_text(encoding="utf-8"))
    assert "▁t h" in values["model"]["merges"]
    assert all(isinstance(merge, str) for merge in values["model"]["merges"])


def test_an_image_token_that_says_nothing_is_left_out(tmp_path: Path) -> None:
    source = with_mean_rows(tiny(tmp_path / "ours"))
    image_id = source.loaded.image_token_id
    folder = written(source, tmp_path / "theirs")
    tensors = load_file(folder / "model.safetensors")
    assert len(tensors["model.embed_tokens.weight"]) == len(tensors["lm_head.weight"]) == image_id
    assert json.loads((folder / "config.json").read_text())["vocab_size"] == image_id
    assert "<image>" not in AutoTokenizer.from_pretrained(folder).get_added_vocab()


def test_an_image_token_with_a_row_of_its_own_stays(tmp_path: Path) -> None:
    source = tiny(tmp_path / "ours")
    vocabulary = Vocabulary.of(source.loaded)
    assert vocabulary == Vocabulary(source.loaded.image_token_id + 1, frozenset())
    assert "<image>" in AutoTokenizer.from_pretrained(written(source, tmp_path / "theirs")).get_added_vocab()


def test_an_image_token_among_others_stays(tmp_path: Path) -> None:
    source = with_mean_rows(tiny(tmp_path / "ours"))
    moved = replace(source.loaded, image_token_id=5)
    assert Vocabulary.of(moved).dropped == frozenset()


def test_a_projector_without_bias_has_no_place_there(tmp_path: Path) -> None:
    source = tiny(tmp_path / "ours", bias=False)
    with pytest.raises(ExportError, match="--to llava-hf"):
        written(source, tmp_path / "theirs")

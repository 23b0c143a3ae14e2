"""Adapters beside their base: merged as PEFT merges them, with their projector, and told where they do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from model import checkpoint
from model.checkpoint import (
    CheckpointFormatError,
    CheckpointNotFound,
    IncompleteCheckpoint,
    UnsupportedCheckpoint,
)
from model.checkpoint.base_numbers import check_numbers, write_base
from model.llava import Llava
from tests.model.checkpoint.made import write_json, write_parts
from tests.model.checkpoint.test_partial import assert_same, load
from tests.model.tiny import tiny_llava


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    write_parts(tmp_path / "parts")
    return tmp_path / "parts"


def adapter_of(model: Llava, folder: Path, **options: object) -> torch.nn.Module:
    """Write an adapter that changes something; returns the model with it merged by peft."""
    settings = {"r": 4, "lora_alpha": 8, "target_modules": r".*language_model.*(q_proj|up_proj)"} | options
    wrapped = get_peft_model(model, LoraConfig(**settings))
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name or "modules_to_save" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    wrapped.save_pretrained(folder)
    return wrapped.merge_and_unload()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"up_proj": 2}, "alpha_pattern": {"up_proj": 32}},
        {"modules_to_save": ["multi_modal_projector"]},
    ],
    ids=["plain", "rslora", "patterns", "with the projector"],
)
def test_an_adapter_made_here_is_merged_as_peft_merges_it(tmp_path: Path, options: dict) -> None:
    model, tokenizer = tiny_llava()
    checkpoint.save(tmp_path / "base", model, tokenizer)
    merged = adapter_of(model, tmp_path / "adapter", **options)
    for found in (
        checkpoint.load(tmp_path / "base", adapter=tmp_path / "adapter", device="cpu"),
        checkpoint.load(tmp_path / "adapter", model_base=tmp_path / "base", device="cpu"),
    ):
        assert_same(found.model, merged, 1e-6)
        assert any("low-rank" in sentence for sentence in found.told)


def test_an_adapter_without_or_with_another_base_is_told(tmp_path: Path) -> None:
    model, tokenizer = tiny_llava()
    checkpoint.save(tmp_path / "base", model, tokenizer)
    adapter_of(model, tmp_path / "adapter")
    with pytest.raises(IncompleteCheckpoint, match=r"adapter is an adapter.*--model-base"):
        checkpoint.load(tmp_path / "adapter", device="cpu")
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    tensors = load_file(path)
    key = next(key for key in tensors if "lora_B" in key)
    save_file(tensors | {key: torch.zeros(7, 4)}, path)
    with pytest.raises(
        CheckpointFormatError, match=r"adapter_model.* another base: .* is 7 x 32, .*--model-base"
    ):
        checkpoint.load(tmp_path / "base", adapter=tmp_path / "adapter", device="cpu")
    save_file({name.replace("layers.1", "layers.9"): value for name, value in tensors.items()}, path)
    with pytest.raises(CheckpointFormatError, match=r"another base: it changes .*layers\.9"):
        checkpoint.load(tmp_path / "base", adapter=tmp_path / "adapter", device="cpu")


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"peft_type": "IA3"}, UnsupportedCheckpoint, r"adapter_config\.json says peft_type 'IA3'"),
        ({"use_dora": True}, UnsupportedCheckpoint, r"use_dora"),
        ({"bias": "all"}, UnsupportedCheckpoint, r"bias 'all'"),
        ({"lora_alpha": "much"}, CheckpointFormatError, r"lora_alpha of .* is 'much'"),
        ({"alpha_pattern": {"(": 2}}, CheckpointFormatError, r"alpha_pattern"),
        (
            {"alpha_pattern": [2]},
            CheckpointFormatError,
            r"adapter_config\.json says alpha_pattern \[2\]; it must",
        ),
        (
            {"lora_alpha": float("nan")},
            CheckpointFormatError,
            r"lora_alpha of .* is nan; it must be a number",
        ),
        ({"fan_in_fan_out": True}, UnsupportedCheckpoint, r"fan_in_fan_out True, which is not read"),
        (
            {"layer_replication": [[0, 1]]},
            UnsupportedCheckpoint,
            r"layer_replication \[\[0, 1\]\], which is not",
        ),
        (
            {"init_lora_weights": "pissa_niter_4"},
            UnsupportedCheckpoint,
            r"'pissa_niter_4', so it fits a changed",
        ),
    ],
)
def test_an_adapter_that_cannot_be_read_is_named(
    tmp_path: Path, changes: dict, error: type[Exception], said: str
) -> None:
    model, tokenizer = tiny_llava()
    checkpoint.save(tmp_path / "base", model, tokenizer)
    adapter_of(model, tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(error, match=said):
        checkpoint.load(tmp_path / "base", adapter=tmp_path / "adapter", device="cpu")


def test_a_merged_adapter_is_quantised_after_it_is_merged(tmp_path: Path) -> None:
    """Four bits of the sum, not the sum of four bits: the adapter's own numbers are never rounded alone."""
    model, tokenizer = tiny_llava()
    checkpoint.save(tmp_path / "base", model, tokenizer)
    merged = adapter_of(model, tmp_path / "adapter", target_modules=r".*language_model.*down_proj")
    checkpoint.save(tmp_path / "merged", merged, tokenizer)
    found = checkpoint.load(
        tmp_path / "base", adapter=tmp_path / "adapter", quantize="4bit", device="cpu"
    ).model
    whole = checkpoint.load(tmp_path / "merged", quantize="4bit", device="cpu").model
    name = "model.language_model.layers.0.mlp.down_proj.weight"
    assert found.get_parameter(name).dtype == torch.uint8
    assert torch.equal(found.get_parameter(name).data, whole.get_parameter(name).data)


@pytest.mark.parametrize("named", ["adapter", "model_base"])
def test_the_projector_that_was_trained_along_is_merged_too(tmp_path: Path, named: str) -> None:
    """As the trainer writes a result: the adapter's own file, and beside it `projector.safetensors`."""
    parts = tmp_path / "parts"
    write_parts(parts)
    base = load(parts, "full").model
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"]))
    adapted.save_pretrained(parts / "adapter", save_embedding_layers=False)
    trained = {
        name: each.detach() * 0.5 + 0.1
        for name, each in base.model.multi_modal_projector.state_dict().items()
    }
    save_file(trained, parts / "adapter" / "projector.safetensors")
    if named == "adapter":
        found = load(parts, "full", adapter=parts / "adapter")
    else:
        found = load(parts, "adapter", model_base=parts / "full")
    assert_same_projector(found.model, trained)
    save_file({"linear_9.weight": torch.zeros(2, 2)}, parts / "adapter" / "projector.safetensors")
    with pytest.raises(CheckpointFormatError, match=r"linear_9\.weight, which is no part"):
        load(parts, "full", adapter=parts / "adapter")


def assert_same_projector(found: Llava, expected: dict[str, torch.Tensor]) -> None:
    for name, tensor in found.model.multi_modal_projector.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0, msg=name)


def lora_folder(parts: Path, model: Llava) -> dict[str, torch.Tensor]:
    """parts/lora as LLaVA's own code writes one, with another projector than the model's, which is returned."""
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"]))
    adapted.save_pretrained(parts / "lora", save_embedding_layers=False)
    trained = {
        name: each.detach() * 0.5 + 0.1
        for name, each in model.model.multi_modal_projector.state_dict().items()
    }
    places = {"linear_1": "0", "linear_2": "2"}
    keys = {name: f"base_model.model.model.mm_projector.{places[name[:8]]}{name[8:]}" for name in trained}
    torch.save(
        {keys[name]: each for name, each in trained.items()}, parts / "lora" / "non_lora_trainables.bin"
    )
    values = json.loads((parts / "full" / "config.json").read_text())
    write_json(parts / "lora", values)
    return trained


def test_llavas_own_lora_folder_brings_its_projector_also_when_it_is_the_adapter(parts: Path) -> None:
    trained = lora_folder(parts, load(parts, "full").model)
    assert_same_projector(load(parts, "full", adapter=parts / "lora").model, trained)
    assert_same_projector(load(parts, "lora", model_base=parts / "base").model, trained)


def test_a_lora_folder_without_its_projector_is_told_which_file_is_missing(parts: Path) -> None:
    lora_folder(parts, load(parts, "full").model)
    (parts / "lora" / "non_lora_trainables.bin").unlink()
    with pytest.raises(CheckpointNotFound, match=r"lora has no .*non_lora_trainables\.bin, .*copy that file"):
        load(parts, "lora", model_base=parts / "base")


@pytest.fixture
def two_bases(tmp_path: Path) -> Path:
    """tmp_path/base and /other, of one shape; /adapter, made here on the first of them."""
    for name, seed in (("base", 0), ("other", 5)):
        checkpoint.save(tmp_path / name, *tiny_llava(seed=seed))
    made = checkpoint.load(tmp_path / "base", device="cpu")
    adapter_of(made.model, tmp_path / "adapter", target_modules=r".*language_model.*(q_proj|k_proj)")
    write_base(tmp_path / "adapter", made.base_numbers)
    return tmp_path


def test_an_adapter_made_here_is_refused_on_another_base_of_the_same_shape(two_bases: Path) -> None:
    said = r"adapter was made for another base.*embed_tokens.*differ from those in .*base\.json; give"
    for source, options in (("other", {"adapter": "adapter"}), ("adapter", {"model_base": "other"})):
        given = {name: two_bases / folder for name, folder in options.items()}
        with pytest.raises(CheckpointFormatError, match=said):
            checkpoint.load(two_bases / source, device="cpu", **given)


@pytest.mark.parametrize("options", [{"dtype": "bfloat16"}, {"quantize": "4bit"}, {"quantize": "8bit"}])
def test_an_adapter_knows_its_base_in_other_formats_and_layouts(two_bases: Path, options: dict) -> None:
    """Whichever the base was loaded in when the adapter was made, and is when it is used."""
    again = checkpoint.load(two_bases / "base", device="cpu", **options)
    write_base(two_bases / "adapter", again.base_numbers)
    assert check_numbers(two_bases / "adapter", again.model.state_dict().get)
    half = checkpoint.load(two_bases / "base", dtype="bfloat16", device="cpu")
    checkpoint.save(two_bases / "half", half.model, half.tokenizer)
    assert checkpoint.load(two_bases / "half", adapter=two_bases / "adapter", device="cpu", **options)


def test_an_adapter_that_says_no_more_than_a_name_is_compared_by_it(
    two_bases: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (two_bases / "adapter" / "base.json").unlink()
    path = two_bases / "adapter" / "adapter_config.json"
    values = json.loads(path.read_text())
    for made_on, warned in (("org/Base@v2", False), ("org/vicuna-7b", True), (None, False)):
        path.write_text(json.dumps(values | {"base_model_name_or_path": made_on}))
        caplog.clear()
        checkpoint.load(two_bases / "base", adapter=two_bases / "adapter", device="cpu")
        assert ("org/vicuna-7b and is added to" in caplog.text) == warned


@pytest.mark.parametrize(
    "content", ['{"numbers": 7}', '{"numbers": {"a": [[1, 2]]}}', "[]", '{"numbers": {"a": 3}}']
)
def test_a_damaged_note_of_the_base_is_named(two_bases: Path, content: str) -> None:
    (two_bases / "adapter" / "base.json").write_text(content)
    with pytest.raises(CheckpointFormatError, match=r"base\.json"):
        checkpoint.load(two_bases / "base", adapter=two_bases / "adapter", device="cpu")

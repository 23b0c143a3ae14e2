"""What is written as llava-hf opens in plain transformers and says there what it says here."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoProcessor, LlavaForConditionalGeneration

from conversations.template import TEMPLATES
from model import checkpoint
from model.checkpoint_export.llava_hf import write_llava_hf
from model.checkpoint_export.source import Source

from .models import DEMO, QUESTION, assert_equal_tensors, our_answer, our_ids, picture, tensors_of, tiny

# What transformers 4 (its conversion maps aside), vLLM and llama.cpp's converter know.
OLD_KEYS = re.compile(
    r"language_model\.(model\.(embed_tokens|layers\.\d+|norm)\.|lm_head\.)"
    r"|multi_modal_projector\.linear_[12]\.(weight|bias)$"
    r"|vision_tower\.vision_model\.(embeddings|pre_layrnorm|encoder\.layers\.\d+|post_layernorm)\."
)


def written(source: Source, folder: Path) -> Path:
    folder.mkdir()
    write_llava_hf(folder, source)
    return folder


def plain_answer(folder: Path, image, num_tokens: int = 12) -> tuple[list[int], torch.Tensor, list[int]]:
    """Prompt ids, logits and greedy ids by nothing but transformers' own classes."""
    processor = AutoProcessor.from_pretrained(folder)
    model, report = LlavaForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    chat = [
        {"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": QUESTION}]}
    ]
    inputs = processor.apply_chat_template(
        chat, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
    with torch.inference_mode():
        logits = model(**inputs, logits_to_keep=1).logits[0, -1]
        made = model.generate(**inputs, max_new_tokens=num_tokens, min_new_tokens=num_tokens, do_sample=False)
    num_prompt = inputs["input_ids"].shape[1]
    return inputs["input_ids"][0].tolist(), logits, made[0, num_prompt:].tolist()


@pytest.mark.parametrize("projector_type", ["linear", "mlp2x_gelu"])
@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("tied", [False, True])
def test_plain_transformers_gives_our_ids_logits_and_answer(
    tmp_path: Path, projector_type: str, fit: str, tied: bool
) -> None:
    source = tiny(tmp_path / "ours", projector_type=projector_type, fit=fit, tied=tied)
    folder = written(source, tmp_path / "theirs")
    ids, logits, answer = plain_answer(folder, picture())
    our_logits, our_tokens = our_answer(source.loaded, picture())
    assert ids == our_ids(source.loaded)
    torch.testing.assert_close(logits, our_logits, atol=2e-5, rtol=1e-5)
    end = source.loaded.tokenizer.eos_token_id
    assert answer == our_tokens or end in our_tokens


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_reaches_plain_transformers(tmp_path: Path, template: str) -> None:
    source = tiny(tmp_path / "ours", template=template)
    ids, _, _ = plain_answer(written(source, tmp_path / "theirs"), picture(), num_tokens=1)
    assert ids == our_ids(source.loaded)


def test_the_shipped_model_answers_the_same_in_plain_transformers(tmp_path: Path) -> None:
    source = Source(checkpoint.load(DEMO, device="cpu"), folder=DEMO)
    folder = written(source, tmp_path / "theirs")
    for seed, size in enumerate([(60, 60), (200, 90), (31, 77)]):
        image = picture(*size, seed=seed)
        ids, _, answer = plain_answer(folder, image, num_tokens=8)
        assert ids == our_ids(source.loaded)
        assert answer == our_answer(source.loaded, image, num_tokens=8)[1]


@pytest.mark.parametrize("projector_type", ["linear", "mlp2x_gelu"])
def test_the_keys_are_those_that_older_programs_read(tmp_path: Path, projector_type: str) -> None:
    source = tiny(tmp_path / "ours", projector_type=projector_type)
    keys = load_file(written(source, tmp_path / "theirs") / "model.safetensors").keys()
    assert [key for key in keys if not OLD_KEYS.match(key)] == []
    assert {"language_model.lm_head.weight", "multi_modal_projector.linear_2.weight"} <= keys


def test_a_linear_projector_keeps_its_numbers_to_the_bit(tmp_path: Path) -> None:
    source = tiny(tmp_path / "ours", projector_type="linear")
    folder = written(source, tmp_path / "theirs")
    theirs = LlavaForConditionalGeneration.from_pretrained(folder).model.multi_modal_projector
    features = torch.randn(1, 16, 32, generator=torch.manual_seed(0)) * 100
    with torch.inference_mode():
        assert torch.equal(theirs(features), source.loaded.model.model.multi_modal_projector(features))
    assert json.loads((folder / "config.json").read_text())["projector_hidden_act"] == "linear"


@pytest.mark.parametrize("projector_type", ["linear", "mlp2x_gelu"])
def test_a_projector_without_bias_gets_none(tmp_path: Path, projector_type: str) -> None:
    source = tiny(tmp_path / "ours", projector_type=projector_type, bias=False)
    folder = written(source, tmp_path / "theirs")
    assert not [
        key for key in load_file(folder / "model.safetensors") if "projector" in key and "bias" in key
    ]
    _, logits, _ = plain_answer(folder, picture(), num_tokens=1)
    torch.testing.assert_close(logits, our_answer(source.loaded, picture(), 1)[0], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_number_format_is_kept_and_named(tmp_path: Path, dtype: str) -> None:
    source = tiny(tmp_path / "ours", dtype=dtype)
    folder = written(source, tmp_path / "theirs")
    assert {str(tensor.dtype) for tensor in load_file(folder / "model.safetensors").values()} == {
        f"torch.{dtype}"
    }
    assert str(LlavaForConditionalGeneration.from_pretrained(folder).dtype) == f"torch.{dtype}"


def test_shards_hold_the_same(tmp_path: Path) -> None:
    source = tiny(tmp_path / "ours")
    whole = load_file(written(source, tmp_path / "whole") / "model.safetensors")
    small = Source(source.loaded, max_shard_bytes=20_000)
    folder = written(small, tmp_path / "shards")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 3
    assert_equal_tensors(whole, {key: tensor for path in shards for key, tensor in load_file(path).items()})
    _, logits, _ = plain_answer(folder, picture(), num_tokens=1)
    torch.testing.assert_close(logits, our_answer(source.loaded, picture(), 1)[0], atol=2e-5, rtol=1e-5)


def test_reading_it_here_gives_back_every_tensor_and_setting(tmp_path: Path) -> None:
    source = tiny(tmp_path / "ours", fit="pad")
    again = checkpoint.load(written(source, tmp_path / "theirs"), device="cpu")
    assert_equal_tensors(tensors_of(source.loaded), tensors_of(again))
    for name in (
        "template",
        "pixels",
        "about",
        "num_patches",
        "image_token_id",
        "context_tokens",
        "image_wrap",
    ):
        assert getattr(again, name) == getattr(source.loaded, name), name


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    source = tiny(tmp_path / "ours")
    first, second = (written(source, tmp_path / name) for name in ("first", "second"))
    assert {path.name: path.read_bytes() for path in first.iterdir()} == {
        path.name: path.read_bytes() for path in second.iterdir()
    }


def test_sentencepiece_goes_along_where_it_was(tmp_path: Path) -> None:
    source = tiny(tmp_path / "ours")
    (tmp_path / "ours" / "tokenizer.model").write_bytes(b"pieces")
    folder = written(source, tmp_path / "theirs")
    assert (folder / "tokenizer.model").read_bytes() == b"pieces"
    shutil.rmtree(folder)

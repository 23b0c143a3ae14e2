"""A folder written is the folder read; every fault is named with its file and its remedy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from conversations.messages import ImageRef, Message
from model import checkpoint
from model.checkpoint import (
    CheckpointError,
    CheckpointFormatError,
    CheckpointNotFound,
    LoadedModel,
)
from model.pixels import PixelConfig, pixel_values
from model.prompt import render
from tests.model.tiny import edit_config, tiny_llava, write_tiny_checkpoint


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(written, tmp_path / "tiny"))


@torch.no_grad()
def answer(loaded: LoadedModel) -> list[int]:
    prompt = render(
        loaded.template,
        [Message("user", (ImageRef("0" * 64), "What is it?"))],
        loaded.tokenizer,
        num_patches=loaded.num_patches,
        image_token_id=loaded.image_token_id,
        image_wrap=loaded.image_wrap,
    )
    ids = torch.tensor([prompt.input_ids])
    pixels = pixel_values([Image.radial_gradient("L")], loaded.pixels)
    return loaded.model.generate(input_ids=ids, pixel_values=pixels, max_new_tokens=8, do_sample=False)[
        0
    ].tolist()


# written and read


@pytest.mark.parametrize("projector_type", ["linear", "mlp2x_gelu"])
@pytest.mark.parametrize("tied", [True, False])
def test_what_was_saved_is_what_is_loaded(tmp_path: Path, projector_type: str, tied: bool) -> None:
    model, tokenizer = tiny_llava(projector_type=projector_type, tied=tied, template="vicuna_v1")
    checkpoint.save(tmp_path / "one", model, tokenizer)
    loaded = checkpoint.load(tmp_path / "one")
    theirs = loaded.model.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in model.state_dict().items())
    assert (loaded.model.lm_head.weight is loaded.model.get_input_embeddings().weight) == tied
    assert loaded.tokenizer("Human: é </s>").input_ids == tokenizer("Human: é </s>").input_ids
    assert not loaded.model.training


def test_all_that_the_worker_must_know_comes_with_it(written: Path) -> None:
    loaded = checkpoint.load(written)
    assert (loaded.name, loaded.template.name, loaded.num_patches) == ("tiny", "llava_v0", 16)
    assert loaded.context_tokens == 2048
    assert loaded.pixels == PixelConfig(size=32)
    assert loaded.about == "Nothing: its weights are random."
    assert loaded.tokenizer.convert_ids_to_tokens(loaded.image_token_id) == "<image>"
    assert answer(loaded) == answer(checkpoint.load(written))


def test_saving_again_what_was_loaded_changes_nothing(written: Path, tmp_path: Path) -> None:
    loaded = checkpoint.load(written)
    checkpoint.save(tmp_path / "again", loaded.model, loaded.tokenizer)
    before, after = (json.loads((path / "config.json").read_text()) for path in (written, tmp_path / "again"))
    for key in ("projector_type", "template", "pixels", "about", "image_token_index", "architectures"):
        assert after[key] == before[key]
    assert answer(checkpoint.load(tmp_path / "again")) == answer(loaded)


def test_shards_are_read_too(tmp_path: Path, written: Path) -> None:
    model, tokenizer = tiny_llava()
    checkpoint.save(tmp_path, model, tokenizer)
    (tmp_path / "model.safetensors").unlink()
    model.save_pretrained(tmp_path, max_shard_size="50KB")
    assert not (tmp_path / "model.safetensors").exists()
    assert answer(checkpoint.load(tmp_path)) == answer(checkpoint.load(written))


def test_progress_rises_from_nothing_to_all(written: Path) -> None:
    seen: list[float] = []
    checkpoint.load(written, on_progress=seen.append)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert len(seen) > 20


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_weights_come_in_the_asked_format(written: Path, dtype: str) -> None:
    loaded = checkpoint.load(written, dtype=dtype, device="cpu")
    assert {weight.dtype for weight in loaded.model.parameters()} == {getattr(torch, dtype)}
    if dtype == "bfloat16":
        assert len(answer(loaded)) > 16


def test_a_template_given_by_hand_goes_first(written: Path) -> None:
    assert checkpoint.load(written, template="plain").template.name == "plain"


def test_start_and_end_marks_come_from_the_config(folder: Path) -> None:
    model, tokenizer = tiny_llava()
    tokenizer.add_special_tokens({"extra_special_tokens": ["<image>", "<im_start>", "<im_end>"]})
    model.resize_token_embeddings(len(tokenizer))
    checkpoint.save(folder, model, tokenizer)
    edit_config(folder, mm_use_im_start_end=True)
    assert checkpoint.load(folder).image_wrap == ("<im_start>", "<im_end>")


def test_a_checkpoint_of_plain_transformers_needs_only_a_template(folder: Path) -> None:
    edit_config(folder, projector_type=None, template=None, pixels=None, about=None)
    loaded = checkpoint.load(folder, template="vicuna_v1")
    assert loaded.pixels == PixelConfig(size=32, fit="crop")
    assert loaded.about == ""


def test_the_mlp_is_announced_under_the_name_that_other_programs_know(written: Path, tmp_path: Path) -> None:
    assert json.loads((written / "config.json").read_text())["architectures"] == [
        "LlavaForConditionalGeneration"
    ]
    checkpoint.save(tmp_path, *tiny_llava(projector_type="linear"))
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["Llava"]


# faults


HINTS = {
    "attn_implementation": "kernels-community/flash-attn",
    "_attn_implementation": "kernels-community/flash-attn",
    "_attn_implementation_internal": "somebody/kernel",
    "experts_implementation": "somebody/kernel",
    "_experts_implementation_internal": "somebody/kernel",
    "fusion_config": {"patch": True},
    "transformers_weights": "../elsewhere.safetensors",
    "_name_or_path": "/somewhere/else",
    "torch_dtype": "float16",
    "auto_map": None,
    "quantization_config": None,
}


def test_hints_to_fetch_code_or_files_are_dropped_at_every_level(folder: Path, written: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    parts = {part: values[part] | HINTS for part in ("text_config", "vision_config")}
    (folder / "config.json").write_text(json.dumps(values | HINTS | parts))
    loaded = checkpoint.load(folder)
    assert answer(loaded) == answer(checkpoint.load(written))
    for config in (loaded.model.config, loaded.model.config.text_config, loaded.model.config.vision_config):
        assert "kernel" not in json.dumps(config.to_dict(), default=str)
        assert "kernel" not in str(config._attn_implementation)


def test_a_template_whose_mark_the_tokenizer_lacks_is_found_at_load_time(
    written: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(written, tmp_path / "no_end"))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        path = folder / name
        path.write_text(path.read_text().replace("</s>", "<end>"))
    assert checkpoint.load(folder).template.name == "llava_v0"
    with pytest.raises(CheckpointFormatError, match=r"no_end.*</s>.*--template"):
        checkpoint.load(folder, template="vicuna_v1")


def test_text_never_becomes_an_image_token_that_is_not_marked_as_special(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        path = folder / name
        path.write_text(path.read_text().replace("<image>", "[IMG]"))
    content = json.loads((folder / "tokenizer.json").read_text())
    for token in content["added_tokens"]:
        token["special"] = token["special"] and token["content"] != "[IMG]"
    (folder / "tokenizer.json").write_text(json.dumps(content))
    loaded = checkpoint.load(folder)
    asked = render(
        loaded.template,
        [Message("user", ("What is [IMG]?",))],
        loaded.tokenizer,
        num_patches=1,
        image_token_id=loaded.image_token_id,
    )
    assert loaded.image_token_id not in asked.input_ids


def test_a_missing_folder_and_missing_files_are_named(folder: Path) -> None:
    with pytest.raises(CheckpointNotFound, match=r"no folder .*nowhere"):
        checkpoint.load(folder / "nowhere")
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        kept = (folder / name).rename(folder / "kept")
        with pytest.raises(CheckpointNotFound, match=name):
            checkpoint.load(folder)
        kept.rename(folder / name)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\x00 not it", b"[1, 2]"])
def test_a_damaged_file_is_named(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointFormatError, match=name):
        checkpoint.load(folder)


def test_a_download_cut_short_is_named(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointFormatError, match=r"model\.safetensors"):
        checkpoint.load(folder)


def test_weights_that_lack_a_tensor_or_have_another_shape_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    name = next(key for key in tensors if key.endswith("linear_1.weight"))
    save_file({key: value for key, value in tensors.items() if key != name}, path)
    with pytest.raises(CheckpointFormatError, match=r"linear_1\.weight"):
        checkpoint.load(folder)
    save_file(tensors | {name: torch.zeros(32, 31)}, path)
    with pytest.raises(CheckpointFormatError, match=r"linear_1\.weight is 32 x 31, expected 32 x 32"):
        checkpoint.load(folder)


def test_a_tokenizer_with_more_tokens_than_embeddings_is_refused(folder: Path) -> None:
    tokenizer = checkpoint.load(folder).tokenizer
    tokenizer.add_tokens(["one", "more"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(CheckpointFormatError, match=r"tokenizer\.json has \d+ tokens but"):
        checkpoint.load(folder)


def test_an_index_cannot_reach_out_of_its_folder(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
    index = {"weight_map": {"lm_head.weight": "../outside.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointFormatError, match="outside"):
        checkpoint.load(folder)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"device": "tpu"}, "'tpu'.*auto, cuda, mps or cpu"),
        ({"device": "cuda:99"}, "cuda"),
        ({"dtype": "int4"}, "'int4'.*float32"),
        ({"template": "v9"}, "'v9'"),
    ],
)
def test_an_option_that_cannot_be_had_is_named(written: Path, options: dict, named: str) -> None:
    with pytest.raises(CheckpointError, match=named):
        checkpoint.load(written, **options)


def test_the_format_auto_loads(written: Path) -> None:
    loaded = checkpoint.load(written, dtype="auto", device="cpu")
    assert {weight.dtype for weight in loaded.model.parameters()} == {torch.float32}

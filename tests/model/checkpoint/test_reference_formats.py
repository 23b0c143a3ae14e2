"""Every format of LLaVA's own code gives the numbers that its own code gave."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model import checkpoint
from model.checkpoint import LoadedModel
from model.checkpoint.key_names import LLAVA_HF, TRANSFORMERS_5, Layout
from tests.model.checkpoint.reference_cases import (
    FOLDER,
    FORMATS,
    Format,
    assert_same_numbers,
    needs_reference,
)
from tests.model.checkpoint.test_chat_template import LLAVA_HF as LLAVA_HF_CHAT

pytestmark = needs_reference
BY_NAME = {format_.name: format_ for format_ in FORMATS}
CASES = (
    [(format_, index) for format_ in FORMATS for index in range(len(format_.expected["cases"]))]
    if FOLDER.exists()
    else []
)


@functools.cache
def loaded(format_: Format) -> LoadedModel:
    return checkpoint.load(format_.folder, device="cpu", **format_.options)


@pytest.mark.parametrize(
    ("format_", "index"), CASES, ids=lambda value: value.name if isinstance(value, Format) else str(value)
)
def test_a_format_gives_the_references_numbers(format_: Format, index: int) -> None:
    assert_same_numbers(loaded(format_), format_, format_.expected["cases"][index])


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_what_serving_must_know_is_the_references(format_: Format) -> None:
    model, expected = loaded(format_), format_.expected
    assert model.context_tokens == expected["context_len"]
    assert model.num_patches == expected["num_patches"]
    assert any("LLaVA's own code" in sentence for sentence in model.told)
    if format_.name != "lora_v15":  # its cases were asked with the training template
        assert model.template.name == expected["default_template"]


def _as_layout(folder: Path, layout: Layout, *, rows: int | None = None) -> Path:
    """full_v15_mlp_tower as another program would have written it, with its vocabulary padded to `rows`."""
    source = loaded(BY_NAME["full_v15_mlp_tower"])
    tensors = {}
    for name, tensor in source.model.state_dict().items():
        if rows is not None and len(tensor) == 32001:
            tensor = torch.cat([tensor[:32000], torch.zeros(rows - 32000, tensor.shape[1])])
        tensors[layout.on_disk(name) or name] = tensor.to(torch.float16).contiguous()
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = source.model.config.to_dict()
    for key in ("projector_type", "template", "pixels", "about", "context_tokens", "mm_use_im_start_end"):
        config.pop(key, None)
    config["text_config"]["vocab_size"] = rows or 32001
    (folder / "config.json").write_text(json.dumps(config))
    source.tokenizer.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 56}, "do_pad": True})
    )
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": LLAVA_HF_CHAT}))
    return folder


@pytest.mark.parametrize(
    ("layout", "rows"),
    [(LLAVA_HF, 32064), (TRANSFORMERS_5, 32064)],
    ids=lambda value: getattr(value, "name", value),
)
def test_llava_hf_with_old_and_new_key_names_gives_the_same_numbers(
    tmp_path: Path, layout: Layout, rows: int
) -> None:
    format_ = BY_NAME["full_v15_mlp_tower"]
    model = checkpoint.load(_as_layout(tmp_path / "hf", layout, rows=rows), device="cpu")
    assert model.template.name == "vicuna_v1"
    assert model.pixels.fit == "pad"
    assert model.model.config.text_config.vocab_size == rows
    for case in format_.expected["cases"]:
        assert_same_numbers(model, format_, case)


def test_what_was_imported_is_saved_and_read_again_alike(tmp_path: Path) -> None:
    """The way into training: an imported checkpoint becomes one of this project's own."""
    for name in ("full_v0_linear", "full_v15_mlp"):
        format_ = BY_NAME[name]
        checkpoint.save(tmp_path / name, loaded(format_).model, loaded(format_).tokenizer)
        again = checkpoint.load(tmp_path / name, device="cpu")
        assert again.template == loaded(format_).template
        assert again.context_tokens == format_.expected["context_len"]
        assert again.image_wrap == loaded(format_).image_wrap
        assert_same_numbers(again, format_, format_.expected["cases"][-1])


def test_a_tower_inside_needs_nothing_but_its_shape(tmp_path: Path) -> None:
    """As a download has it: no tower beside it, and the name of one whose shape is known."""
    folder = Path(shutil.copytree(BY_NAME["full_v15_mlp_tower_tuned"].folder, tmp_path / "alone"))
    tower = Path(shutil.copytree(FOLDER / "openai" / "clip-tiny-patch14-56", tmp_path / "shape"))
    (tower / "pytorch_model.bin").unlink()
    model = checkpoint.load(folder, vision_tower=tower, device="cpu")
    format_ = BY_NAME["full_v15_mlp_tower_tuned"]
    assert_same_numbers(model, format_, format_.expected["cases"][1])

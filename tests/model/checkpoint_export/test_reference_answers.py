"""The reference's own checkpoints, written as llava-hf, say in plain transformers what the reference's code said.

Its numbers are expected.json's (shared/data/reference_checkpoints), made by running it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

from model import checkpoint
from model.checkpoint_export.llava_hf import write_llava_hf
from model.checkpoint_export.source import Source

from .models import REFERENCE

FORMATS = {
    "full_v0_linear": ("LLaVA-tiny-v0", None),
    "full_v15_mlp": ("llava-v1.5-tiny", None),
    "delta_v0": ("LLaVA-tiny-delta-v0", "delta_v0/llama-tiny"),
}
pytestmark = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="the reference checkpoints are in the shared data, which is not here"
)


@pytest.fixture(scope="module", params=FORMATS)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder that was written, and the one with the reference's numbers."""
    name, base = FORMATS[request.param]
    folder = REFERENCE / request.param
    loaded = checkpoint.load(
        folder / name, dtype="float16", device="cpu", model_base=REFERENCE / base if base else None
    )
    out = tmp_path_factory.mktemp("written")
    write_llava_hf(out, Source(loaded, folder=folder / name))
    return out, folder


def test_ids_and_greedy_answers_are_the_references(written: tuple[Path, Path]) -> None:
    out, folder = written
    processor = AutoProcessor.from_pretrained(out)
    model = LlavaForConditionalGeneration.from_pretrained(out, dtype=torch.float32)
    num_compared = 0
    for case in json.loads((folder / "expected.json").read_text())["cases"]:
        if not case["image"]:
            continue
        inputs = processor.apply_chat_template(
            chat_of(case, folder),
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        num_patches = case["vision_features"]["shape"][1]
        expected: list[int] = []
        for number in case["input_ids"]:
            expected += [model.config.image_token_index] * num_patches if number == -200 else [number]
        assert inputs["input_ids"][0].tolist() == expected, case["name"]
        with torch.inference_mode():
            made = model.generate(**inputs, max_new_tokens=12, min_new_tokens=12, do_sample=False)
        assert made[0, len(expected) :].tolist() == case["greedy"]["ids"], case["name"]
        num_compared += 1
    assert num_compared >= 2


def chat_of(case: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    chat: list[dict[str, Any]] = []
    for index, turn in enumerate(case["turns"]):
        parts: list[dict[str, Any]] = [{"type": "text", "text": turn}]
        if index == 0:
            with Image.open(folder / case["image"]) as picture:
                parts.insert(0, {"type": "image", "image": picture.convert("RGB")})
        chat.append({"role": "assistant" if index % 2 else "user", "content": parts})
    return chat

"""The reference's own checkpoints and what its code answered with them (shared/data/reference_checkpoints)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from conversations.messages import ImageRef, Message
from conversations.template import TEMPLATES
from model.checkpoint import LoadedModel
from model.pixels import pixel_values
from model.prompt import render

FOLDER = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "reference_checkpoints"
needs_reference = pytest.mark.skipif(
    not FOLDER.exists(), reason="the reference's checkpoints (shared/data) are not here"
)
TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Format:
    """One of them: its folder, and the base that completes it."""

    name: str
    checkpoint: str
    base: str | None = None

    @property
    def folder(self) -> Path:
        return FOLDER / self.name / self.checkpoint

    @property
    def options(self) -> dict[str, Any]:
        return {} if self.base is None else {"model_base": FOLDER / self.base}

    @property
    def expected(self) -> dict[str, Any]:
        return dict(json.loads((FOLDER / self.name / "expected.json").read_text(encoding="utf-8")))


FORMATS = (
    Format("full_v0_linear", "LLaVA-tiny-v0"),
    Format("full_v15_mlp", "llava-v1.5-tiny"),
    Format("full_v15_mlp_tower", "llava-v1.5-tiny-tower"),
    Format("full_v15_mlp_tower_tuned", "llava-v1.6-tiny-tower"),
    Format("delta_v0", "LLaVA-tiny-delta-v0", "delta_v0/llama-tiny"),
    Format("lora_v15", "llava-v1.5-tiny-lora", "lora_v15/vicuna-tiny-v1.5"),
    Format("projector_only", "llava-v1.5-tiny-pretrain", "lora_v15/vicuna-tiny-v1.5"),
)


def pictures_of(loaded: LoadedModel, format_: Format, case: dict[str, Any]) -> torch.Tensor | None:
    """The case's picture as the checkpoint wants it [1, 3, H, W]."""
    if not case["image"]:
        return None
    with Image.open(FOLDER / format_.name / case["image"]) as picture:
        return pixel_values([picture], loaded.pixels)


def prompt_ids(
    loaded: LoadedModel, case: dict[str, Any], num_patches: int, image_id: int
) -> tuple[list[int], str]:
    """What our renderer makes of the case's turns: ids and text."""
    messages = []
    for index, text in enumerate(case["turns"]):
        picture = (ImageRef("0" * 64),) if index == 0 and case["image"] else ()
        messages.append(Message("assistant" if index % 2 else "user", (*picture, text)))
    if not messages:  # the plain template of stage 1: a picture, and the caption is to come
        messages.append(Message("user", (ImageRef("0" * 64),)))
    prompt = render(
        TEMPLATES[case["template"]],
        messages,
        loaded.tokenizer,
        num_patches=num_patches,
        image_token_id=image_id,
        image_wrap=loaded.image_wrap,
    )
    return prompt.input_ids, prompt.text


@torch.inference_mode()
def assert_same_numbers(loaded: LoadedModel, format_: Format, case: dict[str, Any]) -> None:
    """Prompt, ids, pixels, features, logits and greedy tokens, as the reference's."""
    one_each, text = prompt_ids(loaded, case, 1, -200)
    assert one_each == case["input_ids"]
    assert text == case["prompt_tokenized"]
    ids, _ = prompt_ids(loaded, case, loaded.num_patches, loaded.image_token_id)
    assert len(ids) == case["sequence_length"]
    pixels = pictures_of(loaded, format_, case)
    given = {} if pixels is None else {"pixel_values": pixels}
    if pixels is not None:
        _close(pixels.flatten()[:8], case["pixel_values"]["first8"])
        assert abs(float(pixels.mean()) - case["pixel_values"]["mean"]) < TOLERANCE
        features = loaded.model.image_features(pixels).flatten()
        _close(features[:8], case["projected_features"]["first8"])
        _close(features[-8:], case["projected_features"]["last8"])
    logits = loaded.model(input_ids=torch.tensor([ids]), logits_to_keep=1, **given).logits[0, -1]
    said = case["logits_last"]
    _close(logits[:16], said["first16"])
    _close(logits[: said["vocab"]][-4:], said["last4"])
    _close(logits[said["top5_ids"]], said["top5_values"])
    assert greedy(loaded, ids, pixels, len(case["greedy"]["ids"])) == case["greedy"]["ids"]


@torch.inference_mode()
def greedy(loaded: LoadedModel, ids: list[int], pixels: torch.Tensor | None, num_tokens: int) -> list[int]:
    """The next tokens, each the one of the highest score, an end of sequence too."""
    given = {} if pixels is None else {"pixel_values": pixels}
    answered = loaded.model.generate(
        input_ids=torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        do_sample=False,
        max_new_tokens=num_tokens,
        min_new_tokens=num_tokens,
        **given,
    )
    return list(answered[0, len(ids) :].tolist())


def _close(found: torch.Tensor, expected: list[float]) -> None:
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=TOLERANCE)

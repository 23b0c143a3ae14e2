"""Models to be written, and what they answer: shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from conversations.messages import ImageRef, Message
from model import checkpoint
from model.checkpoint import LoadedModel
from model.checkpoint_export.source import Source
from model.pixels import PixelConfig, pixel_values
from model.prompt import render

from ..tiny import tiny_llava

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / "model" / "demo"
REFERENCE = ROOT.parent / "shared" / "data" / "reference_checkpoints"
QUESTION = "What is in the picture? Name all  things of it, in C#"


def tiny(
    folder: Path, *, fit: str = "crop", bias: bool = True, dtype: str = "float32", **options: Any
) -> Source:
    """A random model, written into `folder` and read again in `dtype`."""
    model, tokenizer = tiny_llava(**options)
    model.config.pixels = PixelConfig(size=32, fit=fit).as_mapping()  # type: ignore[arg-type]
    if not bias:
        model.config.multimodal_projector_bias = False
        model.model.multi_modal_projector.linear_1.bias = None
        if model.model.multi_modal_projector.linear_2 is not None:
            model.model.multi_modal_projector.linear_2.bias = None
    checkpoint.save(folder, model, tokenizer)
    return Source(checkpoint.load(folder, dtype=dtype, device="cpu"), folder=folder)


def picture(width: int = 37, height: int = 50, seed: int = 0) -> Image.Image:
    """Coloured noise, so that every wrong pixel shows."""
    torch.manual_seed(seed)
    values = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8)
    return Image.fromarray(values.numpy())


def our_ids(loaded: LoadedModel, question: str = QUESTION) -> list[int]:
    """A picture and a question, as the worker renders them."""
    prompt = render(
        loaded.template,
        [Message("user", (ImageRef("0" * 64), question))],
        loaded.tokenizer,
        num_patches=loaded.num_patches,
        image_token_id=loaded.image_token_id,
        image_wrap=loaded.image_wrap,
    )
    return prompt.input_ids


@torch.inference_mode()
def our_answer(loaded: LoadedModel, image: Image.Image, num_tokens: int = 12) -> tuple[Tensor, list[int]]:
    """The logits [V] after the prompt and the greedy ids, by the same forward passes as the engine's."""
    ids = torch.tensor([our_ids(loaded)])
    pixels = pixel_values([image], loaded.pixels).to(loaded.model.dtype)
    output = loaded.model(input_ids=ids, pixel_values=pixels, use_cache=True, logits_to_keep=1)
    first = output.logits[0, -1]
    answer: list[int] = []
    while len(answer) < num_tokens:
        answer.append(int(output.logits[0, -1].argmax()))
        output = loaded.model(
            input_ids=torch.tensor([answer[-1:]]), past_key_values=output.past_key_values, use_cache=True
        )
    return first, answer


def tensors_of(loaded: LoadedModel) -> Mapping[str, Tensor]:
    return loaded.model.state_dict()


def assert_equal_tensors(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> None:
    """Bit for bit, formats included."""
    assert left.keys() == right.keys()
    different = [
        name
        for name in left
        if left[name].dtype != right[name].dtype or not torch.equal(left[name], right[name])
    ]
    assert different == []

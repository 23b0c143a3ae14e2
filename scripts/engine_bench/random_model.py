"""A LLaVA with random weights, written as a checkpoint folder that everything here and every peer can load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers.models.clip.configuration_clip import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPVisionModel
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaForCausalLM

from model import checkpoint
from model.llava import Llava
from model.pixels import PixelConfig
from scripts.engine_bench.word_tokenizer import num_silent, word_tokenizer


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a network. Vision: `image_size` / 14 squared patches a picture."""

    width: int = 768
    layers: int = 12
    heads: int = 12
    inner: int = 2048
    vocab_size: int = 32000
    context_tokens: int = 2048
    vision_width: int = 256
    vision_layers: int = 5  # of which four are used: features come from the layer before the last
    image_size: int = 336


SMALL = Shape()
"""138M parameters, 576 patches a picture."""
SEVEN_B = Shape(4096, 32, 32, 11008, 32000, 4096, 1024, 24, 336)
"""LLaVA 1.5's language model and tower, CLIP ViT-L/14-336."""
TINY = Shape(64, 2, 4, 128, 400, 512, 32, 3, 56)
"""For trying the script: 16 patches a picture, 64 columns so that 4-bit blocks fit."""


def write_random_model(
    folder: Path, shape: Shape, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> Path:
    """Write such a checkpoint into `folder` and return it; the same shape gives the same weights on one device."""
    torch.manual_seed(0)
    tokenizer = word_tokenizer(shape.vocab_size)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device), torch.no_grad():
            model = Llava.from_parts(
                CLIPVisionModel(_vision(shape)),
                LlamaForCausalLM(_language(shape)),
                projector_type="mlp2x_gelu",
                image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
                template="llava_v0",
                pixels=PixelConfig(size=shape.image_size),
                about="Nothing: its weights are random.",
            )
    finally:
        torch.set_default_dtype(before)
    with torch.no_grad():
        # The scores of marks and special tokens stay at nought: a greedy answer is made of words alone.
        model.lm_head.weight[: num_silent()] = 0.0
    checkpoint.save(folder, model, tokenizer)
    return folder


def num_parameters(model: torch.nn.Module) -> int:
    """All of them, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def _vision(shape: Shape) -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=shape.vision_width,
        intermediate_size=4 * shape.vision_width,
        num_hidden_layers=shape.vision_layers,
        num_attention_heads=max(1, shape.vision_width // 64),
        image_size=shape.image_size,
        patch_size=14,
    )


def _language(shape: Shape) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=shape.context_tokens,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=None,
        pad_token_id=3,
        initializer_range=0.04,  # wide enough that greedy answers depend on the prompt
    )

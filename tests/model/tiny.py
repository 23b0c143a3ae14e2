"""A tiny LLaVA with random weights, in the folder layout of a real one. Built in a second, for tests only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast
from transformers.models.clip.configuration_clip import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPVisionModel
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaForCausalLM

from model import checkpoint
from model.llava import Llava
from model.pixels import PixelConfig


def tiny_tokenizer(extra_merges: Sequence[tuple[str, str]] = ()) -> PreTrainedTokenizerFast:
    """ASCII characters, bytes for all others, a few merges; <unk>, <s>, </s> first and <image> last."""
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    pieces += ["▁"] + [chr(code) for code in range(33, 127)]
    merges = [("#", "#"), ("a", "n"), ("▁", "t"), ("▁t", "h"), ("▁th", "e"), ("▁", "A"), *extra_merges]
    vocabulary = {
        piece: index for index, piece in enumerate(pieces + [left + right for left, right in merges])
    }
    inner = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = [
        AddedToken(name, normalized=False, special=True) for name in ("<unk>", "<s>", "</s>", "<image>")
    ]
    inner.add_special_tokens(special)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=2048,
        extra_special_tokens=["<image>"],
    )


def tiny_llava(
    *,
    projector_type: str = "mlp2x_gelu",
    template: str = "llava_v0",
    tied: bool = False,
    context_tokens: int = 2048,
    num_layers: int = 2,
    seed: int = 0,
) -> tuple[Llava, PreTrainedTokenizerFast]:
    """Llama 32 wide, `num_layers` deep; CLIP 32 wide, 3 layers, 32 x 32 pixels patch 8: 16 tokens a picture."""
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    vision = CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=32,
            patch_size=8,
        )
    )
    language = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=num_layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=context_tokens,
            tie_word_embeddings=tied,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            initializer_range=0.3,  # wide enough that greedy answers differ from prompt to prompt
        )
    )
    model = Llava.from_parts(
        vision,
        language,
        projector_type=projector_type,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        template=template,
        pixels=PixelConfig(size=32),
        about="Nothing: its weights are random.",
    )
    return model.eval(), tokenizer


def write_tiny_checkpoint(folder: Path, **options: Any) -> Path:
    """Write such a checkpoint into `folder` and return it."""
    model, tokenizer = tiny_llava(**options)
    checkpoint.save(folder, model, tokenizer)
    return folder


def edit_config(folder: Path, **changes: Any) -> None:
    """Change config.json; None removes a key."""
    path = folder / "config.json"
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))

"""A random LLaVA of 1.01 billion weights (2.0 GB in float16) in four shards, in several formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from model.checkpoint import load
from model.checkpoint.key_names import CLIP, LLAMA, LLAVA_HF, ORIGINAL_MLP, TOWER, Layout
from model.llava import Llava

DEMO = Path(__file__).resolve().parents[2] / "model" / "demo"
NUM_SHARDS = 4
WIDTH, INNER, NUM_LAYERS = 2048, 5504, 20


def make_random(folder: Path) -> None:
    """hf, original, delta, base and tower: one shape, random weights. Each is left as it is where it is there."""
    shipped = load(DEMO, device="cpu")
    values = shipped.model.config.to_dict()
    text = values["text_config"]
    text |= {
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": NUM_LAYERS,
        "head_dim": 128,
    }
    text |= {
        "num_attention_heads": WIDTH // 128,
        "num_key_value_heads": WIDTH // 128,
        "tie_word_embeddings": False,
    }
    values["tie_word_embeddings"] = False
    vision = values["vision_config"]
    reference = {key: value for key, value in text.items() if key != "model_type"} | {
        "model_type": "llava_llama",
        "mm_vision_tower": "tower",
        "mm_projector_type": "mlp2x_gelu",
        "mm_use_im_patch_token": False,
    }
    shapes = _shapes(values)
    tower = {name: shape for name, shape in shapes.items() if name.startswith(TOWER)}
    rest = {name: shape for name, shape in shapes.items() if name not in tower}
    for part, config, layout, some, safe in (
        ("hf", values, LLAVA_HF, shapes, True),
        ("original", reference, ORIGINAL_MLP, rest, False),
        ("delta", reference, ORIGINAL_MLP, rest, False),
        ("base", text | {"model_type": "llama"}, LLAMA, rest, False),
        ("tower", vision, CLIP, tower, True),
    ):
        if (folder / part / "config.json").is_file():
            continue
        (folder / part).mkdir(parents=True, exist_ok=True)
        names = {key: shape for name, shape in some.items() if (key := layout.on_disk(name)) is not None}
        _write_shards(folder / part, names, layout, safe=safe, is_delta=part == "delta")
        if part != "tower":
            shipped.tokenizer.save_pretrained(folder / part)
        (folder / part / "config.json").write_text(json.dumps(config))


def _shapes(values: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    from transformers.models.llava.configuration_llava import LlavaConfig

    with torch.device("meta"):
        model = Llava(LlavaConfig.from_dict(values))
    return {name: tuple(tensor.shape) for name, tensor in model.named_parameters()}


def _write_shards(
    folder: Path, shapes: dict[str, tuple[int, ...]], layout: Layout, *, safe: bool, is_delta: bool
) -> None:
    keys = list(shapes)
    stem, end = ("model", "safetensors") if safe else ("pytorch_model", "bin")
    where: dict[str, str] = {}
    for index in range(NUM_SHARDS):
        name = f"{stem}-{index + 1:05}-of-{NUM_SHARDS:05}.{end}"
        some = keys[index::NUM_SHARDS]  # about as many bytes in each
        tensors = {key: _random(key, shapes[key], is_delta=is_delta) for key in some}
        where |= dict.fromkeys(some, name)
        if safe:
            save_file(tensors, folder / name, metadata={"format": "pt"})
        else:
            torch.save(tensors, folder / name)
    (folder / f"{stem}.{end}.index.json").write_text(json.dumps({"weight_map": where}))


def _random(key: str, shape: tuple[int, ...], *, is_delta: bool) -> Tensor:
    if key.endswith("norm.weight"):
        return torch.full(shape, 0.0 if is_delta else 1.0, dtype=torch.float16)
    return torch.empty(shape, dtype=torch.float16).uniform_(-0.02, 0.02)

"""The tiny model in the layouts of LLaVA's own code, made here: full, base, tower, delta, projector, adapter."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from model.checkpoint.key_names import CLIP, LLAMA, ORIGINAL_LINEAR, ORIGINAL_MLP, PROJECTOR, TOWER, Layout
from model.llava import Llava
from tests.model.tiny import tiny_llava

Tensors = dict[str, Tensor]


def tensors_of(model: Llava, layout: Layout, wanted: Callable[[str], bool] = lambda name: True) -> Tensors:
    """The model's tensors by their keys on disk."""
    found = {}
    for name, tensor in model.state_dict().items():
        key = layout.on_disk(name)
        if key is not None and wanted(name) and "position_ids" not in name:
            found[key] = tensor.detach().clone().contiguous()
    return found


def is_tower(name: str) -> bool:
    return name.startswith(TOWER)


def is_projector(name: str) -> bool:
    return name.startswith(PROJECTOR)


def llama_values(model: Llava) -> dict[str, Any]:
    text = model.config.text_config
    keys = (
        "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "hidden_act", "tie_word_embeddings",
    )  # fmt: skip
    return {key: getattr(text, key) for key in keys} | {"model_type": "llama", "rope_theta": 10000.0}


def write_parts(folder: Path, **options: Any) -> Llava:
    """`folder`/full, /base and /tower, which together are one model. Returns that model."""
    model, tokenizer = tiny_llava(template="llava_v1", **options)
    with torch.no_grad():
        model.model.language_model.norm.weight.fill_(1.5)
    linear = model.config.projector_type == "linear"
    values = llama_values(model) | {
        "model_type": "llava_llama",
        "mm_vision_tower": "org/tower",
        "mm_hidden_size": 32,
        "mm_projector_type": model.config.projector_type,
        "mm_vision_select_layer": -2,
        "mm_use_im_patch_token": False,
        "mm_use_im_start_end": False,
        "image_aspect_ratio": "pad",
    }
    layout = ORIGINAL_LINEAR if linear else ORIGINAL_MLP
    for name, tensors in (
        ("full", tensors_of(model, layout, lambda key: not is_tower(key))),
        ("base", tensors_of(model, LLAMA)),
        ("tower", tensors_of(model, CLIP, is_tower)),
    ):
        (folder / name).mkdir(parents=True)
        save_file(tensors, folder / name / "model.safetensors", metadata={"format": "pt"})
    for name in ("full", "base"):
        tokenizer.save_pretrained(folder / name)
    write_json(folder / "full", values)
    write_json(folder / "base", llama_values(model))
    write_json(folder / "tower", model.config.vision_config.to_dict())
    return model


def write_projector(
    folder: Path, model: Llava, full: Path, extra: Tensors | None = None, **changes: Any
) -> Path:
    """A folder with config.json and mm_projector.bin, as the first stage of training leaves it."""
    folder.mkdir()
    values = json.loads((full / "config.json").read_text()) | {"_name_or_path": "org/base"} | changes
    write_json(folder, values)
    layout = ORIGINAL_LINEAR if model.config.projector_type == "linear" else ORIGINAL_MLP
    torch.save(tensors_of(model, layout, is_projector) | (extra or {}), folder / "mm_projector.bin")
    return folder


def write_json(folder: Path, values: dict[str, Any], name: str = "config.json") -> None:
    (folder / name).write_text(json.dumps(values))

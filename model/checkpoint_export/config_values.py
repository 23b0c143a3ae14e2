"""What configs of several layouts have in common: the numbers of the parts, under names that old readers know too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from model.llava import Llava
from model.pixels import PixelConfig

# What transformers writes for every model, whatever it is; none of it says anything about this one.
_NOISE = frozenset(
    [
        "_name_or_path", "architectures", "chunk_size_feed_forward", "dtype", "id2label", "is_encoder_decoder",
        "label2id", "output_attentions", "output_hidden_states", "problem_type", "return_dict", "torch_dtype",
        "transformers_version",
    ]
)  # fmt: skip


def text_values(model: Llava) -> dict[str, Any]:
    """The language model's part. Rotary settings stand under the new name and under the old ones."""
    values = _told(model.config.text_config.to_dict())
    rope = values.get("rope_parameters") or {}
    scaled = {key: value for key, value in rope.items() if key != "rope_theta"}
    values["rope_theta"] = rope.get("rope_theta", 10000.0)
    values["rope_scaling"] = None if scaled.get("rope_type", "default") == "default" else scaled
    values["tie_word_embeddings"] = bool(model.config.tie_word_embeddings)
    return values


def vision_values(model: Llava) -> dict[str, Any]:
    """The vision tower's part."""
    return _told(model.config.vision_config.to_dict())


def own_values(model: Llava, pixels: PixelConfig, template: str) -> dict[str, Any]:
    """Our keys: other programs pass over them, and reading the folder here gives back what was written."""
    values = model.config.to_dict()
    return {
        "template": template,
        "pixels": pixels.as_mapping(),
        "about": values.get("about", ""),
        "projector_type": values["projector_type"],
    }


def image_processor_values(pixels: PixelConfig) -> dict[str, Any]:
    """preprocessor_config.json: the same picture preparation in the words of transformers' image processors."""
    square = {"height": pixels.size, "width": pixels.size}
    values: dict[str, Any] = {
        "image_processor_type": "CLIPImageProcessor" if pixels.fit == "crop" else "LlavaImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": pixels.size},
        "resample": 3,  # bicubic
        "do_center_crop": True,
        "crop_size": square,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(pixels.mean),
        "image_std": list(pixels.std),
    }
    if pixels.fit == "pad":
        values["do_pad"] = True
    return values


def dtype_name(dtype: torch.dtype) -> str:
    """torch.float16 -> "float16", as configs name it."""
    return str(dtype).removeprefix("torch.")


def write_json(path: Path, values: Mapping[str, Any], *, in_order: bool = False) -> None:
    """Sorted by name, or in the order given: two exports of one model are equal to the byte."""
    text = json.dumps(values, indent=2, sort_keys=not in_order, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in _NOISE}

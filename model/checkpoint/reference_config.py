"""config.json of LLaVA's own code, turned into the values of the transformers layout with our keys.

It says `model_type: llava` (until January 2024) or `llava_llama`, has LLaMA's keys on its top level and LLaVA's own
beside them (`mm_…`). transformers would read the older ones silently as something else. What is absent means what the
reference's code takes it to mean (model/builder.py, model/multimodal_projector/builder.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..checkpoint_errors import CheckpointFormatError, UnsupportedCheckpoint
from ..pixels import Fit
from ..projector import PROJECTOR_TYPES
from .config import LANGUAGE_MODEL
from .key_names import PROJECTOR

MODEL_TYPES = ("llava", "llava_llama")
CONTEXT_TOKENS = 2048
"""What the reference serves with where the config has no max_sequence_length (model/builder.py, line 162)."""

_LLAMA_KEYS = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "hidden_act", "max_position_embeddings", "rms_norm_eps", "rope_theta",
    "rope_scaling", "attention_bias", "mlp_bias", "attention_dropout", "initializer_range", "pretraining_tp",
    "tie_word_embeddings", "bos_token_id", "eos_token_id", "pad_token_id",
)  # fmt: skip


_PROJECTOR_TENSORS = {
    "linear": {"linear_1.weight", "linear_1.bias"},
    "mlp2x_gelu": {"linear_1.weight", "linear_1.bias", "linear_2.weight", "linear_2.bias"},
}


def is_reference(values: Mapping[str, Any]) -> bool:
    """Whether a config is one of LLaVA's own code, by its content."""
    return values.get("model_type") in MODEL_TYPES and "mm_vision_tower" in values


def projector_type(path: Path, values: Mapping[str, Any], names: Iterable[str]) -> str:
    """ "linear" or "mlp2x_gelu", by the weights' names in memory. CheckpointError where the config contradicts."""
    says = values.get("mm_projector_type")
    if says is not None and says not in PROJECTOR_TYPES:
        raise UnsupportedCheckpoint(
            f"{path} says mm_projector_type {says!r}; only {' and '.join(PROJECTOR_TYPES)} are read. Choose another "
            "checkpoint."
        )
    held = {name.removeprefix(PROJECTOR) for name in names if name.startswith(PROJECTOR)}
    found = next((kind for kind, tensors in _PROJECTOR_TENSORS.items() if held == tensors), None)
    if found is None:
        raise CheckpointFormatError(
            f"The weights beside {path} hold {len(held)} projector tensors ({', '.join(sorted(held)) or 'none'}); "
            "expected weight and bias of one layer (linear) or of two (mlp2x_gelu). Copy the checkpoint again, with "
            "its mm_projector.bin."
        )
    if says is not None and says != found:
        raise CheckpointFormatError(
            f"{path} says mm_projector_type {says!r}, but the weights hold a {found} projector; correct the config or "
            "copy the weights that belong to it."
        )
    return found


def fit_of(path: Path, values: Mapping[str, Any]) -> Fit:
    """How pictures are made square. Raises UnsupportedCheckpoint for LLaVA 1.6's tiles."""
    says = values.get("image_aspect_ratio", "square")
    if says == "pad":
        return "pad"
    if says in ("square", None):
        return "crop"
    raise UnsupportedCheckpoint(
        f"{path} says image_aspect_ratio {says!r}, LLaVA 1.6's tiles, which are not read; choose a 1.5 checkpoint."
    )


def template_of(values: Mapping[str, Any]) -> tuple[str, str]:
    """The template that its config names, as those written here do, else the one that the reference would serve it
    with; and by what in the config it is told."""
    if isinstance(named := values.get("template"), str):
        return named, f"template {named!r}"
    if values.get("mm_use_im_start_end") and "mm_projector_type" not in values:
        return "llava_v0", "start and end tokens around pictures and no mm_projector_type, as v0 has them"
    if "mm_projector_type" in values:
        return "llava_v1", f"mm_projector_type {values['mm_projector_type']!r}, as v1.5 has it"
    return "llava_v1", "no start and end tokens around pictures, as v1 has it"


def transformers_values(
    path: Path, values: Mapping[str, Any], *, tower: Mapping[str, Any], projector: str
) -> dict[str, Any]:
    """What transformers' LlavaConfig takes; vocabulary, template and pixels come later. Raises CheckpointError."""
    text = {key: values[key] for key in _LLAMA_KEYS if values.get(key) is not None}
    layer = values.get("mm_vision_select_layer", -2)
    feature = values.get("mm_vision_select_feature", "patch")
    if feature != "patch":
        raise UnsupportedCheckpoint(
            f"{path} says mm_vision_select_feature {feature!r}; only 'patch' is read. Choose another checkpoint."
        )
    if values.get("mm_patch_merge_type", "flat") not in ("flat", None) or values.get("s2"):
        raise UnsupportedCheckpoint(
            f"{path} asks for merged tiles or scales of a picture, which are not read."
        )
    width = values.get("mm_hidden_size")
    if width is not None and width != tower.get("hidden_size"):
        raise CheckpointFormatError(
            f"{path} says mm_hidden_size {width}, but its picture tower is {tower.get('hidden_size')} wide; give the "
            "tower that it was trained with by --vision-tower."
        )
    return {
        "model_type": "llava",
        "text_config": text | {"model_type": LANGUAGE_MODEL},
        "vision_config": dict(tower),
        "vision_feature_layer": layer,
        "vision_feature_select_strategy": "default",
        "projector_hidden_act": "gelu",
        "multimodal_projector_bias": True,
        "tie_word_embeddings": bool(values.get("tie_word_embeddings", False)),
        "projector_type": projector,
        "context_tokens": _context(path, values),
    }


def _context(path: Path, values: Mapping[str, Any]) -> int:
    context = values.get("max_sequence_length", CONTEXT_TOKENS)
    if not isinstance(context, int) or isinstance(context, bool) or context < 1:
        raise CheckpointFormatError(
            f"{path} says max_sequence_length {context!r}; it must be a whole number above 0."
        )
    longest = values.get("max_position_embeddings", context)
    return min(context, longest) if isinstance(longest, int) else context

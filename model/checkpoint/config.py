"""config.json of a checkpoint folder: read, checked, and turned into transformers' own config.

It is read here and not by AutoConfig: checkpoints of LLaVA's own code also say `model_type: llava`, and
AutoConfig would read them silently as something else. Our own keys beside those of transformers:

    projector_type   "linear" or "mlp2x_gelu"
    template         a name in conversations.template.TEMPLATES
    pixels           {size, fit, mean, std}, see model/pixels.py
    about            one sentence on what the model knows; may be left out
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers.models.llava.configuration_llava import LlavaConfig

from conversations.template import TEMPLATES, Template

from ..checkpoint_errors import CheckpointFormatError, CheckpointNotFound, UnsupportedCheckpoint
from ..pixels import CLIP_MEAN, CLIP_STD, PixelConfig, PixelConfigError
from ..projector import PROJECTOR_TYPES
from .json_file import read_object

_DROPPED = frozenset(
    [
        "attn_implementation", "_attn_implementation", "_attn_implementation_internal",
        "_attn_implementation_autoset", "experts_implementation", "_experts_implementation",
        "_experts_implementation_internal", "fusion_config", "use_kernels", "kernel_config", "transformers_weights",
        "name_or_path", "_name_or_path", "_commit_hash", "trust_remote_code",
    ]
)  # fmt: skip
"""Hints on how to compute fast or where files once lay. Answers are the same without them; with them a checkpoint
could have code fetched ("kernels-community/...") or another file read."""

_REFUSED = {
    "auto_map": "names code that came with the checkpoint, and such code is never run; choose a checkpoint of "
    "the plain LLaVA layout, or remove the key if it is one",
    "quantization_config": "says that the weights are quantised, which cannot be read; choose the same "
    "checkpoint in full precision",
    "compression_config": "says that the weights are compressed, which cannot be read; choose the same "
    "checkpoint in full precision",
    "per_layer_config": "gives single layers a shape of their own, which cannot be read; choose another checkpoint",
}
LANGUAGE_MODEL = "llama"
_DTYPES = ("float32", "bfloat16", "float16", "auto")

FOREIGN_FAULTS = (
    StrictDataclassError, RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError,
    ImportError,
)  # fmt: skip
"""What transformers raises, from its depths, at a config whose values it cannot use."""


def read_config(folder: Path) -> dict[str, Any]:
    """What config.json holds, without the keys by which it could have code or other files fetched, at every level."""
    path = folder / "config.json"
    if not folder.is_dir():
        raise CheckpointNotFound(f"There is no folder {folder}; give the path of a checkpoint folder.")
    if not path.is_file():
        raise CheckpointNotFound(
            f"{folder} has no config.json; give the folder that holds config.json and the weights."
        )
    return _without_orders(path, read_object(path))


def is_transformers(path: Path, values: dict[str, Any]) -> bool:
    """Whether this is the transformers layout of LLaVA, by its content. UnsupportedCheckpoint for a tower or a
    language model of another kind: its weights may have the same names and shapes, and would answer nonsense."""
    parts = (values.get("vision_config"), values.get("text_config"))
    if values.get("model_type") != "llava" or not all(isinstance(part, dict) for part in parts):
        return False
    tower = values["vision_config"].get("model_type")
    if tower != "clip_vision_model":
        raise UnsupportedCheckpoint(
            f"{path} says vision_config.model_type {tower!r}; expected 'clip_vision_model'. Choose another."
        )
    language = values["text_config"].get("model_type", LANGUAGE_MODEL)
    if language != LANGUAGE_MODEL:
        raise UnsupportedCheckpoint(
            f"{path} says text_config.model_type {language!r}; only {LANGUAGE_MODEL!r} is read. Choose a LLaVA on a "
            "LLaMA, such as llava-hf/llava-1.5-7b-hf."
        )
    return True


def _without_orders(path: Path, values: dict[str, Any], where: str = "") -> dict[str, Any]:
    """`values` without what would make transformers fetch or run something. `where` is the place, like "a.b."."""
    kept: dict[str, Any] = {}
    for key, value in values.items():
        if key in _REFUSED and value:
            raise UnsupportedCheckpoint(f"{path} holds {where}{key}, which {_REFUSED[key]}.")
        if key in ("dtype", "torch_dtype"):
            # Which format to compute in is --dtype's to say; an unknown one means weights that we cannot read.
            if value is not None and str(value).removeprefix("torch.") not in _DTYPES:
                raise CheckpointFormatError(
                    f"{path} says {where}{key} {value!r}; expected one of: {', '.join(_DTYPES)}. Remove the key "
                    "if the weights are of one of these: the format to compute in is chosen by --dtype."
                )
        elif key not in _DROPPED and key not in _REFUSED:
            nested = isinstance(value, dict)
            kept[key] = _without_orders(path, value, f"{where}{key}.") if nested else value
    return kept


def own_keys(path: Path, values: dict[str, Any], template: str | None) -> tuple[Template, PixelConfig]:
    """Our keys of config.json, checked; `template` given by hand goes before the config's."""
    projector_type = values.setdefault("projector_type", "mlp2x_gelu")
    if not isinstance(projector_type, str) or projector_type not in PROJECTOR_TYPES:
        raise CheckpointFormatError(
            f"{path} says projector_type {projector_type!r}; set it to one of: {', '.join(PROJECTOR_TYPES)}."
        )
    name = template or values.get("template")
    known = ", ".join(TEMPLATES)
    if name is None:
        raise CheckpointFormatError(
            f'{path} does not name its template, and it is never guessed: add "template" to it or give '
            f"--template, one of: {known}."
        )
    if not isinstance(name, str) or name not in TEMPLATES:
        raise CheckpointFormatError(f"{path}: there is no template {name!r}; choose one of: {known}.")
    try:
        pixels = _pixels(values)
    except PixelConfigError as error:
        raise CheckpointFormatError(f"{path}: {error}") from error
    return TEMPLATES[name], pixels


def _pixels(values: dict[str, Any]) -> PixelConfig:
    size = values["vision_config"].get("image_size", 336)
    given = values.get("pixels")
    if given is None:  # written by plain transformers: CLIP's own preparation
        return PixelConfig(size=size, fit="crop", mean=CLIP_MEAN, std=CLIP_STD)
    if not isinstance(given, dict):
        raise PixelConfigError(f"pixels is {given!r}; it must be an object with size, fit, mean and std.")
    pixels = PixelConfig.from_mapping(given)
    if pixels.size != size:
        raise PixelConfigError(
            f"pixels.size is {pixels.size} but vision_config.image_size is {size}; make them equal."
        )
    return pixels


def transformers_config(path: Path, values: dict[str, Any]) -> LlavaConfig:
    """config.json as transformers' own config, our keys included; checked for what would fail only when asked."""
    try:
        config = LlavaConfig.from_dict(values)
    except FOREIGN_FAULTS as error:
        raise CheckpointFormatError(f"{path} holds a value that cannot be used: {error}") from error
    vision, text = config.vision_config, config.text_config
    for part, sizes, keys in (
        ("vision_config", vision, ("image_size", "patch_size", "num_hidden_layers", "num_attention_heads")),
        ("text_config", text, ("vocab_size", "num_hidden_layers", "max_position_embeddings")),
    ):
        for key in keys:
            value = getattr(sizes, key, None)  # a text part of an odd kind may name it otherwise
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise CheckpointFormatError(
                    f"{path}: {part}.{key} is {value!r}; it must be a whole number above 0."
                )
    if vision.patch_size > vision.image_size:
        raise CheckpointFormatError(
            f"{path}: vision_config.patch_size is {vision.patch_size}, more than image_size, "
            f"{vision.image_size}; correct the one that is wrong."
        )
    _check_features(path, config)
    return config


def _check_features(path: Path, config: LlavaConfig) -> None:
    """The picture features must be those that the prompt has places for: the patches of one layer."""
    strategy, layer = config.vision_feature_select_strategy, config.vision_feature_layer
    if strategy != "default":
        raise UnsupportedCheckpoint(
            f"{path} says vision_feature_select_strategy {strategy!r}, which keeps the class token; only 'default' "
            "can be used. Choose another checkpoint."
        )
    if not isinstance(layer, int) or isinstance(layer, bool):
        raise UnsupportedCheckpoint(
            f"{path} says vision_feature_layer {layer!r}; only one layer, a whole number, can be used. Choose "
            "another checkpoint."
        )
    num_layers = config.vision_config.num_hidden_layers
    if not -num_layers - 1 <= layer <= num_layers:
        raise CheckpointFormatError(
            f"{path} says vision_feature_layer {layer}, but layers go from {-num_layers - 1} to {num_layers}; "
            "LLaVA's is -2."
        )

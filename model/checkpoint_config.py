"""config.json of a checkpoint folder: read, checked, and turned into transformers' own config.

It is read here and not by AutoConfig: checkpoints of LLaVA's own code also say `model_type: llava`, and
AutoConfig would read them silently as something else. Our own keys beside those of transformers:

    projector_type   "linear" or "mlp2x_gelu"
    template         a name in conversations.template.TEMPLATES
    pixels           {size, fit, mean, std}, see model/pixels.py
    about            one sentence on what the model knows; may be left out
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers.models.llava.configuration_llava import LlavaConfig

from conversations.template import TEMPLATES, Template

from .pixels import CLIP_MEAN, CLIP_STD, PixelConfig, PixelConfigError
from .projector import PROJECTOR_TYPES


class CheckpointError(Exception):
    """A checkpoint cannot be read or written. The message names the file, the fault and the remedy."""


class CheckpointNotFound(CheckpointError):
    """The folder, or a file that must be in it, is not there."""


class CheckpointFormatError(CheckpointError):
    """A file is there but holds something else than it should."""


class UnsupportedCheckpoint(CheckpointError):
    """A checkpoint of a kind that this program does not read."""


class DeviceError(CheckpointError):
    """The asked device or number format is not to be had on this machine."""


def read_config(folder: Path) -> dict[str, Any]:
    """What config.json holds, once it is sure that it describes a LLaVA in the transformers layout."""
    path = folder / "config.json"
    if not folder.is_dir():
        raise CheckpointNotFound(f"There is no folder {folder}; give the path of a checkpoint folder.")
    if not path.is_file():
        raise CheckpointNotFound(
            f"{folder} has no config.json; give the folder that holds config.json and the weights."
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointFormatError(f"{path} is not JSON ({error}); copy the checkpoint again.") from error
    if not isinstance(values, dict):
        raise CheckpointFormatError(
            f"{path} must hold a JSON object, not {type(values).__name__}; copy it again."
        )
    if values.get("model_type") != "llava":
        raise UnsupportedCheckpoint(
            f"{path} says model_type {values.get('model_type')!r}; expected 'llava'. Choose another."
        )
    missing = [key for key in ("vision_config", "text_config") if not isinstance(values.get(key), dict)]
    if missing:
        raise UnsupportedCheckpoint(
            f"{path} has no {' and no '.join(missing)}: this is the layout of LLaVA's own code. "
            "Convert it to the transformers layout first."
        )
    tower = values["vision_config"].get("model_type")
    if tower != "clip_vision_model":
        raise UnsupportedCheckpoint(
            f"{path} says vision_config.model_type {tower!r}; expected 'clip_vision_model'. Choose another."
        )
    return values


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
    """config.json as transformers' own config, our keys included."""
    try:
        return LlavaConfig.from_dict(values)
    except (StrictDataclassError, ValueError, TypeError, KeyError) as error:
        raise CheckpointFormatError(f"{path} holds a value that cannot be used: {error}") from error

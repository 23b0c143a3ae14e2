"""The picture tower that a checkpoint of LLaVA's own code names but mostly does not hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..checkpoint_errors import CheckpointError, IncompleteCheckpoint, UnsupportedCheckpoint
from ..pixels import Fit, PixelConfig
from .json_file import read_object
from .key_names import CLIP, OF_CLIP_BUT_NOT_OF_ITS_TOWER
from .preparation import pixels_of
from .weights import Weights, has_weights

_CLIP_LARGE: dict[str, Any] = {
    "model_type": "clip_vision_model",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
KNOWN: dict[str, dict[str, Any]] = {
    "openai/clip-vit-large-patch14": _CLIP_LARGE | {"image_size": 224},
    "openai/clip-vit-large-patch14-336": _CLIP_LARGE | {"image_size": 336},
}
"""config.json of the towers that every released LLaVA uses: where the weights are inside, nothing else is needed."""

Fetch = Callable[[str], Path]
"""The folder of what a person or a config named: a folder here, or one downloaded from the Hub."""


@dataclass(frozen=True, slots=True)
class Tower:
    """A tower's shape and, where they lie apart from the checkpoint, its weights."""

    config: dict[str, Any]  # of a clip_vision_model
    pixels: PixelConfig
    weights: Weights | None
    told: str  # where it came from, for the log


def find_tower(
    named: str, *, checkpoint: Path, given: str | None, inside: bool, fit: Fit, fetch: Fetch
) -> Tower:
    """`named` is the checkpoint's mm_vision_tower, `given` what a person said instead.

    With the weights `inside` the checkpoint, only the shape is looked up. Raises CheckpointError.
    """
    folder = Path(given) if given and Path(given).is_dir() else None
    if folder is None and given is None:
        _refuse_path(named, checkpoint)
        folder = _near(named, checkpoint)
    if folder is None and inside and given is None and named in KNOWN:
        config = dict(KNOWN[named])
        return Tower(config, PixelConfig(config["image_size"], fit), None, f"its own, shaped as {named}")
    if folder is None:
        try:
            folder = fetch(given or named)
        except CheckpointError as error:
            raise IncompleteCheckpoint(
                f"{checkpoint} needs the picture tower {given or named}: {error} Or give its folder with "
                "--vision-tower."
            ) from error
    config = _tower_config(folder)
    pixels = pixels_of(folder, config.get("image_size", 224), fit)
    if inside:
        return Tower(config, pixels, None, f"its own, shaped as {folder}")
    if not has_weights(folder):
        raise IncompleteCheckpoint(f"{folder} has no weights; copy the whole picture tower into it.")
    return Tower(config, pixels, Weights.of_folder(folder), f"of {folder}")


def tower_name(key: str) -> str | None:
    """The name in memory of a CLIP's key; None for its text half."""
    return None if key.startswith(OF_CLIP_BUT_NOT_OF_ITS_TOWER) else CLIP.in_memory(key)


def _refuse_path(named: str, checkpoint: Path) -> None:
    """A config that came from somewhere must not have any folder of this machine read."""
    path = PurePosixPath(named)
    if path.is_absolute() or ".." in path.parts:
        raise IncompleteCheckpoint(
            f"{checkpoint} names its picture tower by a path, {named}, which is not followed; give the tower's "
            "folder with --vision-tower."
        )


def _near(named: str, checkpoint: Path) -> Path | None:
    """A folder of that name: from here, in the checkpoint, or up to two folders above it. No others."""
    for root in (Path(), checkpoint, checkpoint.parent, checkpoint.parent.parent):
        if (root / named / "config.json").is_file():
            return root / named
    return None


def _tower_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    values = read_object(path)
    kind = values.get("model_type")
    if kind == "clip":
        values = values.get("vision_config") or {}
    elif kind != "clip_vision_model":
        raise UnsupportedCheckpoint(
            f"{path} says model_type {kind!r}; a picture tower must be 'clip' or 'clip_vision_model'."
        )
    return dict(values) | {"model_type": "clip_vision_model"}

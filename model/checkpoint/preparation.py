"""How a checkpoint wants its pictures, from the preprocessor_config.json beside a tower or a llava-hf checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..checkpoint_errors import CheckpointFormatError, UnsupportedCheckpoint
from ..pixels import CLIP_MEAN, CLIP_STD, Fit, PixelConfig, PixelConfigError
from .json_file import read_object

BICUBIC = 3
"""Pillow's number for it, which preprocessor_config.json uses."""


def pixels_of(folder: Path, size: int, fit: Fit | None = None) -> PixelConfig:
    """What preprocessor_config.json says, CLIP's own values where there is none.

    `size` is the tower's; `fit` goes before the file's `do_pad` (LLaVA's own configs say it elsewhere). Raises
    CheckpointError, also where the file asks for what is not done here.
    """
    path = folder / "preprocessor_config.json"
    values = read_object(path, may_lack=True)
    if not values:
        path = folder / "processor_config.json"  # transformers 5 writes it there
        values = read_object(path, may_lack=True).get("image_processor") or {}
    if not isinstance(values, dict):
        raise CheckpointFormatError(
            f"{path} says image_processor {values!r}; it must be an object. Copy it again."
        )
    edges = {_edge(values.get("size", size)), _edge(values.get("crop_size", size))}
    if edges != {size}:
        raise UnsupportedCheckpoint(
            f"{path} resizes pictures to {values.get('size')!r} and cuts {values.get('crop_size')!r}; both must be the "
            f"{size} pixels that the tower sees."
        )
    if values.get("resample", BICUBIC) != BICUBIC:
        raise UnsupportedCheckpoint(
            f"{path} says resample {values['resample']!r}; only {BICUBIC}, bicubic, is done."
        )
    own: Fit = "pad" if values.get("do_pad") else "crop"
    try:
        return PixelConfig.from_mapping(
            {
                "size": size,
                "fit": fit or own,
                "mean": values.get("image_mean") or list(CLIP_MEAN),
                "std": values.get("image_std") or list(CLIP_STD),
            }
        )
    except PixelConfigError as error:
        raise CheckpointFormatError(f"{path}: {error}") from error


def _edge(value: Any) -> Any:
    """One edge of a square, whichever way it is written; anything else as it is, to be shown."""
    if isinstance(value, dict):
        edges = {edge for key, edge in value.items() if key in ("shortest_edge", "height", "width")}
        return edges.pop() if len(edges) == 1 else repr(value)
    return value

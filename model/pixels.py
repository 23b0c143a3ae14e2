"""From a picture to the numbers that the vision tower takes.

The same steps as CLIP's own preprocessing, done with Pillow and torch alone (no torchvision). Two ways to
make a picture square, named by `fit` in the checkpoint's config:

    crop   the shortest edge is resized to `size`, then the middle is cut out
           (CLIP, the paper, LLaVA 1.0)
    pad    the picture is put in the middle of a square of the mean colour, then resized
           (LLaVA 1.5)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy
import torch
from PIL import Image

Fit = Literal["crop", "pad"]
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # openai/CLIP, clip/clip.py
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
LONGEST_EDGE = 8192
"""Longer pictures are shrunk to this before they are padded: time and memory grow with the square of the edge."""
BAND_PIXELS = 4_000_000


class PixelConfigError(ValueError):
    """The `pixels` part of a config cannot be used; the message names the value and what is allowed."""


@dataclass(frozen=True, slots=True)
class PixelConfig:
    """How pictures were prepared when the tower was trained. Checked when built (PixelConfigError)."""

    size: int  # edge of the square that the tower sees, in pixels
    fit: Fit = "crop"
    mean: tuple[float, float, float] = CLIP_MEAN  # red, green, blue, of values 0..1
    std: tuple[float, float, float] = CLIP_STD

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or isinstance(self.size, bool) or self.size < 1:
            raise PixelConfigError(
                f"pixels.size is {self.size!r}; it must be a whole number of pixels above 0."
            )
        if self.fit not in ("crop", "pad"):
            raise PixelConfigError(f"pixels.fit is {self.fit!r}; it must be 'crop' or 'pad'.")
        for name, triple in (("mean", self.mean), ("std", self.std)):
            if len(triple) != 3 or not all(_is_number(value) for value in triple):
                raise PixelConfigError(
                    f"pixels.{name} is {triple!r}; it must be three numbers, red, green, blue."
                )
        if min(self.std) <= 0:
            raise PixelConfigError(f"pixels.std is {self.std!r}; each number must be above 0.")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> PixelConfig:
        """Read config.json's `pixels`. Unknown or missing keys raise PixelConfigError."""
        unknown = set(values) - {"size", "fit", "mean", "std"}
        if unknown:
            raise PixelConfigError(
                f"pixels holds {sorted(unknown)}; it may hold only size, fit, mean and std."
            )
        if "size" not in values:
            raise PixelConfigError(
                "pixels has no size; write the edge in pixels of what the vision tower sees."
            )
        given = dict(values)
        for name in ("mean", "std"):
            if name in given:
                if not isinstance(given[name], (list, tuple)):
                    raise PixelConfigError(
                        f"pixels.{name} is {given[name]!r}; it must be a list of three numbers."
                    )
                given[name] = tuple(given[name])
        return cls(**given)

    def as_mapping(self) -> dict[str, Any]:
        """What config.json holds: lists, not tuples, so that reading it back gives an equal value."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def pixel_values(images: Sequence[Image.Image], config: PixelConfig) -> torch.Tensor:
    """N pictures of any size and mode -> float32 [N, 3, size, size], normalised. N may be 0."""
    if not images:
        return torch.zeros(0, 3, config.size, config.size)
    squares = numpy.stack([numpy.array(_square(image, config)) for image in images])  # uint8 [N, H, W, 3]
    values = torch.from_numpy(squares).permute(0, 3, 1, 2).to(torch.float32) / 255
    mean = torch.tensor(config.mean).view(1, 3, 1, 1)
    std = torch.tensor(config.std).view(1, 3, 1, 1)
    return (values - mean) / std


def _square(image: Image.Image, config: PixelConfig) -> Image.Image:
    """One RGB picture of exactly size x size pixels."""
    picture = image if image.mode == "RGB" else image.convert("RGB")
    if picture.size == (config.size, config.size):
        return picture
    return _padded(picture, config) if config.fit == "pad" else _cropped(picture, config.size)


def _cropped(picture: Image.Image, size: int) -> Image.Image:
    """Only the part that is kept is resized: a picture of 1 x 5000 must not become 224 x 1120000."""
    width, height = picture.size
    short = min(width, height)
    # CLIP rounds the long edge down, then cuts from a whole pixel: the same cut, expressed in source pixels.
    resized = (size, size * height // short) if width <= height else (size * width // short, size)
    left, top = (resized[0] - size) // 2, (resized[1] - size) // 2
    scale_x, scale_y = width / resized[0], height / resized[1]
    box = (left * scale_x, top * scale_y, (left + size) * scale_x, (top + size) * scale_y)
    return picture.resize((size, size), Image.Resampling.BICUBIC, box=box)


def _padded(picture: Image.Image, config: PixelConfig) -> Image.Image:
    """In the middle of a square; the colour is int(mean * 255), as in LLaVA's expand2square.

    The square of the longest edge is never made: for 30000 x 1 it would take gigabytes. Pillow resizes rows first
    and columns then, so the rows are filled up and resized in bands, which gives the same numbers.
    """
    size, edge = config.size, max(picture.size)
    if edge > LONGEST_EDGE:
        shrunk = [max(1, round(side * LONGEST_EDGE / edge)) for side in picture.size]
        picture, edge = picture.resize((shrunk[0], shrunk[1]), Image.Resampling.BICUBIC), LONGEST_EDGE
    width, height = picture.size
    red, green, blue = (int(value * 255) for value in config.mean)
    narrow = Image.new("RGB", (size, edge), (red, green, blue))
    num_rows = max(1, BAND_PIXELS // edge)
    for top in range(0, height, num_rows):
        bottom = min(top + num_rows, height)
        band = Image.new("RGB", (edge, bottom - top), (red, green, blue))
        band.paste(picture.crop((0, top, width, bottom)), ((edge - width) // 2, 0))
        narrow.paste(
            band.resize((size, bottom - top), Image.Resampling.BICUBIC), (0, (edge - height) // 2 + top)
        )
    return narrow.resize((size, size), Image.Resampling.BICUBIC)

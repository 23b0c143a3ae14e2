"""Smaller copies of stored pictures: the thumbnail that the page shows, and what a model is sent.

A model sees a few hundred pixels a side, and every question of a conversation carries all of its pictures: sent as
they are stored, four photos would be more than a worker takes in one request, and would be so for ever.
"""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

JPEG_QUALITY = 92
THUMBNAIL_SIDE = 320
"""Longest side of a thumbnail, in pixels."""

THUMBNAIL_QUALITY = 82
SENT_SIDE = 1344
"""Longest side of what a model is sent, in pixels: four times 336, which the reference LLaVA shrinks to as
well."""

MAX_SENT_PNG_BYTES = 1_000_000
"""A PNG of more bytes is sent as JPEG."""


def may_be_sent(path: Path) -> bool:
    """Whether a stored picture is small enough to be sent as it is. A stored JPEG has the quality that is
    sent already, so that only its sides count."""
    with Image.open(path, formats=("PNG", "JPEG")) as image:
        return max(image.size) <= SENT_SIDE and (
            image.format == "JPEG" or path.stat().st_size <= MAX_SENT_PNG_BYTES
        )


def to_send(path: Path) -> tuple[bytes, str]:
    """The bytes of what is sent instead of a picture, and their suffix: PNG where the picture is one and
    stays small, else JPEG."""
    image = _shrunk(path, SENT_SIDE)
    if path.suffix == ".png" and path.stat().st_size <= MAX_SENT_PNG_BYTES:
        data = encode(image, "PNG", JPEG_QUALITY)
        if len(data) <= MAX_SENT_PNG_BYTES:
            return data, ".png"
    return encode(image, "JPEG", JPEG_QUALITY), ".jpg"


def thumbnail(path: Path) -> bytes:
    """A small JPEG."""
    return encode(_shrunk(path, THUMBNAIL_SIDE), "JPEG", THUMBNAIL_QUALITY)


def encode(image: Image.Image, file_format: str, quality: int) -> bytes:
    """The bytes of a picture without any metadata: Pillow would write comment, resolution and colour profile
    anew."""
    image.info = {}
    buffer = io.BytesIO()
    if file_format == "PNG":
        image.save(buffer, "PNG", compress_level=6)
    else:
        image.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


def _shrunk(path: Path, longest_side: int) -> Image.Image:
    """RGB, never larger than it was, and at least a pixel wide."""
    with Image.open(path, formats=("PNG", "JPEG")) as image:
        scale = min(1.0, longest_side / max(image.size))
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        # A JPEG is decoded at an eighth, a quarter or a half where that leaves twice the pixels that are needed.
        image.draft("RGB", (2 * size[0], 2 * size[1]))
        return image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)

"""How much one request may bring."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Checked before anything is decoded or tokenised."""

    max_body_bytes: int = 64_000_000
    max_pictures: int = 32  # in the whole conversation
    max_picture_bytes: int = 20_000_000
    max_picture_pixels: int = 40_000_000
    max_total_pixels: int = 160_000_000  # decoded, that many times three bytes
    max_text_chars: int = 2_000_000  # in the whole conversation; far beyond any context

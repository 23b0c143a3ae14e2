"""How much one request may bring."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Checked before anything is decoded or tokenised; `max_held_bytes` as they come in, and again once decoded.

    No limit counts one request's pixels together: each picture is shrunk as soon as it is decoded, so that a long
    conversation with large photos stays answerable (32 of them are 173 MB in memory).
    """

    max_body_bytes: int = 64_000_000
    max_held_bytes: int = (
        1_000_000_000  # of all requests together, until their answers begin; never under one's most
    )
    max_pictures: int = 32  # in the whole conversation
    max_picture_bytes: int = 20_000_000
    max_picture_pixels: int = 40_000_000  # as its header declares them
    longest_side: int = 1344  # pixels, of what is kept; four times the side that LLaVA sees
    max_text_chars: int = 2_000_000  # in the whole conversation; far beyond any context

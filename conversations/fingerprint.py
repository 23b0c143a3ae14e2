"""What a picture looks like, in 160 hexadecimal digits, so that two files of the same sight are found.

Two parts, both from a picture shrunk to a few cells: 256 bits that say in which direction it gets darker (a
difference hash, as Krawetz describes it, which neither size, nor brightness, nor encoding changes much), and the mean
colours of 4 x 4 cells, since a red square and a blue one may get darker in the same places. A step between cells
counts only from 2 levels on, so that the noise of a flat ground says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from PIL import Image

HASH_SIDE = 16
COLOUR_SIDE = 4
MIN_STEP = 2
MAX_BITS_APART = 12
MAX_COLOUR_APART = 14
"""Levels of 255 between the same cells of two pictures. Encoding again as JPEG moves a cell by one or two."""

FINGERPRINT_LENGTH = HASH_SIDE * HASH_SIDE // 4 + COLOUR_SIDE * COLOUR_SIDE * 3 * 2
_NUM_BANDS = MAX_BITS_APART + 1
_NUM_HASH_DIGITS = HASH_SIDE * HASH_SIDE // 4


def fingerprint(image: Image.Image) -> str:
    """Of an upright RGB picture of any size."""
    small = image.convert("RGB").resize(
        (2 * (HASH_SIDE + 1), 2 * HASH_SIDE), Image.Resampling.BOX, reducing_gap=2.0
    )
    grey = small.convert("L").resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX).tobytes()
    bits = 0
    for row in range(HASH_SIDE):
        cells = grey[row * (HASH_SIDE + 1) : (row + 1) * (HASH_SIDE + 1)]
        for left, right in pairwise(cells):
            bits = bits << 1 | (left >= right + MIN_STEP)
    colours = small.resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BOX).tobytes()
    return f"{bits:0{_NUM_HASH_DIGITS}x}{colours.hex()}"


def look_alike(one: str, other: str) -> bool:
    """Whether two fingerprints are of pictures that a person would call the same."""
    bits_apart = (int(one[:_NUM_HASH_DIGITS], 16) ^ int(other[:_NUM_HASH_DIGITS], 16)).bit_count()
    if bits_apart > MAX_BITS_APART:
        return False
    colours = zip(bytes.fromhex(one[_NUM_HASH_DIGITS:]), bytes.fromhex(other[_NUM_HASH_DIGITS:]), strict=True)
    return all(abs(a - b) <= MAX_COLOUR_APART for a, b in colours)


def bands(print_: str) -> Iterator[tuple[int, int]]:
    """Keys of which two that look alike share at least one: so many bands that the bits apart cannot touch all of
    them. Only pictures that share a key need to be compared."""
    bits = int(print_[:_NUM_HASH_DIGITS], 16)
    width = -(-HASH_SIDE * HASH_SIDE // _NUM_BANDS)
    for band in range(_NUM_BANDS):
        yield band, bits >> (band * width) & ((1 << width) - 1)

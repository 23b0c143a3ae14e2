"""A picture's patches in words: what lies under each, and where each lies."""

from __future__ import annotations

import functools

import numpy as np

from scripts.demo_world.language import article
from scripts.demo_world.scene import COLOURS, SHAPES, SIZES, Scene, Thing

PICTURE_SIZE = 60
PATCH_SIZE = 10
GRID = PICTURE_SIZE // PATCH_SIZE
_ORDINALS = ("one", "two", "three", "four", "five", "six")
_THINGS = [f"{size} {colour} {shape}" for size in SIZES for colour in COLOURS for shape in SHAPES]
NUM_THINGS = len(_THINGS)
BACKGROUND = 2 * NUM_THINGS


@functools.cache
def patch_texts() -> tuple[str, ...]:
    """What can lie under a patch: 96 middles, 96 parts, and the background."""
    middles = [f"the middle of {article(thing)}" for thing in _THINGS]
    parts = [f"part of {article(thing)}" for thing in _THINGS]
    return (*middles, *parts, "background")


@functools.cache
def place_texts() -> tuple[str, ...]:
    """Where the patches lie, row by row."""
    return tuple(f"row {row} column {column}" for row in _ORDINALS[:GRID] for column in _ORDINALS[:GRID])


def patch_phrases(scene: Scene) -> np.ndarray:
    """For each patch, row by row, the index in `patch_texts()` of what lies under it; int64 [P]."""
    phrases = np.full((GRID, GRID), BACKGROUND)
    centres = (np.arange(GRID) + 0.5) / GRID
    across, down = np.meshgrid(centres, centres)
    for thing in scene.things:
        inside = (across - thing.x) ** 2 + (down - thing.y) ** 2 < (0.475 * thing.diameter) ** 2
        phrases[inside] = NUM_THINGS + _index(thing)
    for thing in scene.things:
        phrases[int(thing.y * GRID), int(thing.x * GRID)] = _index(thing)
    return phrases.ravel()


def _index(thing: Thing) -> int:
    return _THINGS.index(f"{thing.size} {thing.colour} {thing.shape}")

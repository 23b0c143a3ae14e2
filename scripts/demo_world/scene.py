"""A scene: one to four coloured shapes with sizes and places, the ground truth behind every picture and sentence.

Lengths are shares of the picture's side (0 to 1), x to the right and y down, boxes as [left, top, right, bottom].
"""

from __future__ import annotations

import random
from dataclasses import dataclass

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black")
SIZES = ("small", "large")
ROWS = ("top", "middle", "bottom")
COLUMNS = ("left", "middle", "right")
MAX_THINGS = 4

_DIAMETERS = {"small": (0.23, 0.27), "large": (0.38, 0.43)}
_MAX_TILT_DEGREES = 12.0
_GAP = 0.02
_ZONE_BORDERS = (0.36, 0.64)
_BORDER_CLEARANCE = 0.025  # a centre this close to a zone's border would make the place a matter of taste


@dataclass(frozen=True, slots=True)
class Thing:
    """One shape in a scene."""

    shape: str
    colour: str
    size: str
    x: float
    y: float
    diameter: float
    tilt_degrees: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """[left, top, right, bottom], as in COCO annotations divided by the picture's side."""
        half = self.diameter / 2
        return (self.x - half, self.y - half, self.x + half, self.y + half)

    @property
    def place(self) -> str:
        """The name of the ninth of the picture that holds the centre: "top left", "left", "centre", …"""
        row, column = ROWS[_zone(self.y)], COLUMNS[_zone(self.x)]
        if row == "middle":
            return "centre" if column == "middle" else column
        return row if column == "middle" else f"{row} {column}"


PLACES = ("top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right")


@dataclass(frozen=True, slots=True)
class Scene:
    """Up to four things in reading order (by rows of nine places, then left to right) and a background."""

    seed: int
    things: tuple[Thing, ...]
    background: tuple[int, int, int]
    shading: float


_BACKGROUNDS = (
    (255, 255, 255), (250, 246, 235), (236, 240, 245), (230, 230, 230),
    (235, 245, 235), (245, 232, 236), (225, 235, 250), (244, 240, 215),
)  # fmt: skip


def sample_scene(seed: int, *, num_things: int | None = None) -> Scene:
    """The scene that belongs to `seed`: the same on every machine. `num_things` 1 to 4, drawn uniformly if None."""
    rng = random.Random(f"scene-{seed}")
    count = num_things or rng.randint(1, MAX_THINGS)
    while True:
        things = _sample_things(rng, count)
        if things is not None:
            break
    background = rng.choice(_BACKGROUNDS)
    jittered = tuple(min(255, max(0, channel + rng.randint(-6, 6))) for channel in background)
    ordered = tuple(sorted(things, key=lambda thing: (PLACES.index(thing.place), thing.x)))
    return Scene(seed, ordered, jittered, rng.uniform(-0.08, 0.08))  # type: ignore[arg-type]


def _sample_things(rng: random.Random, count: int) -> list[Thing] | None:
    things: list[Thing] = []
    # Repeated colours and shapes are what makes counting and "which of them" interesting, so they are made likely.
    favourite_colour, favourite_shape = rng.choice(COLOURS), rng.choice(SHAPES)
    for _ in range(count):
        colour = favourite_colour if rng.random() < 0.25 else rng.choice(COLOURS)
        shape = favourite_shape if rng.random() < 0.25 else rng.choice(SHAPES)
        thing = _place(rng, shape, colour, rng.choice(SIZES), things)
        if thing is None:
            return None
        things.append(thing)
    return things


def _place(rng: random.Random, shape: str, colour: str, size: str, others: list[Thing]) -> Thing | None:
    diameter = rng.uniform(*_DIAMETERS[size])
    margin = diameter / 2 + 0.01
    for _ in range(30):
        x, y = rng.uniform(margin, 1 - margin), rng.uniform(margin, 1 - margin)
        if _is_doubtful(x) or _is_doubtful(y):
            continue
        thing = Thing(shape, colour, size, x, y, diameter, rng.uniform(-_MAX_TILT_DEGREES, _MAX_TILT_DEGREES))
        if not any(_touch(thing, other) for other in others):
            return thing
    return None


def _zone(value: float) -> int:
    return sum(value >= border for border in _ZONE_BORDERS)


def _is_doubtful(value: float) -> bool:
    return any(abs(value - border) < _BORDER_CLEARANCE for border in _ZONE_BORDERS)


def _touch(one: Thing, other: Thing) -> bool:
    reach = (one.diameter + other.diameter) / 2 + _GAP
    return abs(one.x - other.x) < reach and abs(one.y - other.y) < reach

"""Draws a scene with Pillow. Drawn at twice the size and halved, so that small pictures keep smooth edges."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

from PIL import Image, ImageDraw

from scripts.demo_world.scene import Scene, Thing

PAINTS = {
    "red": (220, 38, 38), "orange": (245, 140, 20), "yellow": (245, 210, 30), "green": (35, 155, 65),
    "blue": (40, 85, 215), "purple": (135, 55, 175), "pink": (245, 130, 185), "black": (28, 28, 30),
}  # fmt: skip
_OVERSAMPLING = 2
_COLOUR_JITTER = 12


def draw(scene: Scene, size: int, paints: Mapping[str, tuple[int, int, int]] = PAINTS) -> Image.Image:
    """The scene as an RGB picture of size x size pixels. `paints` has the colours of its things by name."""
    side = size * _OVERSAMPLING
    rng = random.Random(f"paint-{scene.seed}")
    canvas = _background(scene, side)
    pen = ImageDraw.Draw(canvas)
    for thing in scene.things:
        _draw_thing(pen, thing, side, _jitter(rng, paints[thing.colour]))
    return canvas.resize((size, size), Image.Resampling.BOX)


def _background(scene: Scene, side: int) -> Image.Image:
    """A plain tint that grows slightly lighter or darker from top to bottom."""
    column = Image.new("RGB", (1, 16))
    for row in range(16):
        factor = 1 + scene.shading * (row / 15 - 0.5)
        column.putpixel((0, row), tuple(min(255, round(channel * factor)) for channel in scene.background))
    return column.resize((side, side), Image.Resampling.BILINEAR)


def _draw_thing(pen: ImageDraw.ImageDraw, thing: Thing, side: int, paint: tuple[int, int, int]) -> None:
    x, y, radius = thing.x * side, thing.y * side, thing.diameter * side / 2
    if thing.shape == "circle":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=paint)
    elif thing.shape == "ring":
        width = max(2, round(radius * 0.42))
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=paint, width=width)
    else:
        corners = [_turn(point, thing.tilt_degrees) for point in _OUTLINES[thing.shape]]
        pen.polygon([(x + radius * px, y + radius * py) for px, py in corners], fill=paint)


def _jitter(rng: random.Random, paint: tuple[int, int, int]) -> tuple[int, int, int]:
    red, green, blue = (
        min(255, max(0, channel + rng.randint(-_COLOUR_JITTER, _COLOUR_JITTER))) for channel in paint
    )
    return (red, green, blue)


def _turn(point: tuple[float, float], degrees: float) -> tuple[float, float]:
    angle = math.radians(degrees)
    x, y = point
    return (x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle))


def _star() -> list[tuple[float, float]]:
    points = []
    for corner in range(10):
        radius = 1.0 if corner % 2 == 0 else 0.42
        angle = math.radians(36 * corner - 90)
        points.append((radius * math.cos(angle), radius * math.sin(angle)))
    return points


_ARM = 0.34
_OUTLINES: dict[str, list[tuple[float, float]]] = {
    "square": [(-0.82, -0.82), (0.82, -0.82), (0.82, 0.82), (-0.82, 0.82)],
    "triangle": [(0.0, -1.0), (0.95, 0.8), (-0.95, 0.8)],
    "star": _star(),
    "cross": [
        (-_ARM, -1), (_ARM, -1), (_ARM, -_ARM), (1, -_ARM), (1, _ARM), (_ARM, _ARM),
        (_ARM, 1), (-_ARM, 1), (-_ARM, _ARM), (-1, _ARM), (-1, -_ARM), (-_ARM, -_ARM),
    ],
}  # fmt: skip

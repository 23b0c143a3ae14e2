"""A drawing of which the right answers are known, for tests that ask the shipped model."""

from __future__ import annotations

from pathlib import Path

from scripts.demo_world.picture import draw
from scripts.demo_world.scene import Scene, sample_scene

SCENES_TO_TRY = range(970_000_000, 970_000_200)


def plain_scene(num_things: int) -> Scene:
    """One in which every shape and every colour stands once, so that each question has one answer."""
    for seed in SCENES_TO_TRY:
        scene = sample_scene(seed, num_things=num_things)
        if (
            len({thing.shape for thing in scene.things})
            == len({thing.colour for thing in scene.things})
            == num_things
        ):
            return scene
    raise AssertionError("no such scene among the seeds; widen them")


def drawn(scene: Scene, folder: Path) -> Path:
    """Its picture as a file."""
    file = folder / f"{scene.seed}.png"
    draw(scene, 256).save(file)
    return file

"""Scenes: the same for the same seed, clear to look at, varied as promised."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from scripts.demo_world.picture import draw
from scripts.demo_world.scene import COLOURS, PLACES, SHAPES, SIZES, sample_scene

seeds = st.integers(0, 10**12)


@given(seeds)
def test_a_seed_always_gives_the_same_scene_and_picture(seed: int) -> None:
    assert sample_scene(seed) == sample_scene(seed)
    assert draw(sample_scene(seed), 24).tobytes() == draw(sample_scene(seed), 24).tobytes()


@given(seeds)
def test_things_lie_inside_the_picture_and_apart_from_each_other(seed: int) -> None:
    things = sample_scene(seed).things
    for thing in things:
        assert min(thing.box) > 0 and max(thing.box) < 1
    for one in things:
        for other in things:
            if one is not other:
                reach = (one.diameter + other.diameter) / 2
                assert abs(one.x - other.x) > reach or abs(one.y - other.y) > reach


@given(seeds)
def test_things_stand_in_reading_order(seed: int) -> None:
    places = [PLACES.index(thing.place) for thing in sample_scene(seed).things]
    assert places == sorted(places)


def test_scenes_are_uniform_over_one_to_four_things_and_hold_every_word_of_the_world() -> None:
    scenes = [sample_scene(seed) for seed in range(2000)]
    counts = Counter(len(scene.things) for scene in scenes)
    assert set(counts) == {1, 2, 3, 4} and min(counts.values()) > 400
    things = [thing for scene in scenes for thing in scene.things]
    assert {thing.shape for thing in things} == set(SHAPES)
    assert {thing.colour for thing in things} == set(COLOURS)
    assert {thing.size for thing in things} == set(SIZES)
    assert {thing.place for thing in things} == set(PLACES)


def test_a_thing_is_painted_where_its_box_says() -> None:
    for seed in range(40):
        scene = sample_scene(seed)
        picture = draw(scene, 120)
        for thing in scene.things:
            if thing.shape == "ring":
                continue
            red, green, blue = picture.getpixel((int(thing.x * 120), int(thing.y * 120)))
            assert (
                max(abs(red - green), abs(green - blue), abs(red - blue)) > 40 or max(red, green, blue) < 60
            )

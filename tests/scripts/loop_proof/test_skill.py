"""The new skill is new, its halves are even, no constant answer is right for many, and the rule is strict."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from scripts.demo_world import data_set
from scripts.demo_world.examination import SEEDS_FROM as EXAMINATION_SEEDS
from scripts.demo_world.facts import words
from scripts.demo_world.picture import PAINTS
from scripts.demo_world.scene import COLOURS, SHAPES
from scripts.loop_proof.skill import LESSONS_FROM, MIXED, TEST_FROM, Task, is_right, task, tasks

ROOT = Path(__file__).resolve().parents[3]
LESSONS = list(tasks(40, LESSONS_FROM))
TESTS = list(tasks(60, TEST_FROM))


def of(mixed: str | None, shape: str, colour: str = "") -> Task:
    """The first task with this thing."""
    candidates = (task(seed, mixed) for seed in range(10_000))
    return next(
        each for each in candidates if each.thing.shape == shape and each.thing.colour == (mixed or colour)
    )


def test_each_draw_has_pictures_of_its_own() -> None:
    drawn = [tasks(60, first, draw) for first in (LESSONS_FROM, TEST_FROM) for draw in (0, 1, 2)]
    scenes = [each.scene for one in drawn for each in one]
    assert len(set(scenes)) == len(scenes) == 360


def test_the_names_are_nowhere_in_the_world_that_the_model_was_taught() -> None:
    texts = [
        " ".join(words(message.text)) for sample in data_set.conversations(400) for message in sample.messages
    ]
    assert any("colour" in text for text in texts)
    assert not [text for text in texts if any(name in text for name in (*MIXED, "mixed"))]
    assert len(MIXED) >= 3 and not set(MIXED) & set(COLOURS)
    vocabulary = json.loads((ROOT / "model/demo/tokenizer.json").read_text(encoding="utf-8"))["model"][
        "vocab"
    ]
    assert "▁red" in vocabulary and "▁mixed" not in vocabulary


def test_the_paints_are_far_from_each_other_and_from_the_eight() -> None:
    paints = {**PAINTS, **MIXED}
    for name, paint in MIXED.items():
        nearest = min(
            sum((one - two) ** 2 for one, two in zip(paint, other, strict=True)) ** 0.5
            for known, other in paints.items()
            if known != name
        )
        assert nearest > 60, name  # drawn paints vary by 12 a channel


@pytest.mark.parametrize("asked", [LESSONS, TESTS], ids=["lessons", "tests"])
def test_half_show_a_mixed_colour_and_every_one_of_them_comes(asked: list[Task]) -> None:
    assert sum(each.is_mixed for each in asked) == len(asked) / 2
    shown = Counter(each.thing.colour for each in asked if each.is_mixed)
    assert set(shown) == set(MIXED) and min(shown.values()) >= len(asked) / 2 // len(MIXED)


def test_no_constant_answer_is_right_for_more_than_a_tenth() -> None:
    for answer in {each.answer for each in TESTS}:
        assert sum(is_right(each, answer) for each in TESTS) <= len(TESTS) / 10


def test_lessons_tests_and_what_is_mixed_in_are_never_the_same_pictures() -> None:
    starts = sorted((LESSONS_FROM, TEST_FROM, data_set.SEEDS_FROM))
    assert all(later - earlier >= 10_000_000 for earlier, later in pairwise(starts))
    assert starts[-1] < EXAMINATION_SEEDS
    assert not {each.scene for each in LESSONS} & {each.scene for each in TESTS}


def test_every_right_answer_is_right_and_only_for_its_like() -> None:
    for each in (*LESSONS, *TESTS):
        assert is_right(each, each.answer)
    for one in TESTS:
        for other in TESTS:
            same = (one.thing.colour, one.thing.shape) == (other.thing.colour, other.thing.shape)
            assert is_right(one, other.answer) is same


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "There is one shape.",
        "It is a yellow green star, of two.",  # another colour
        "It is a blue green ring, of two.",  # another shape
        "It is of two, blue green.",  # no shape
        "It is a blue star, of two.",  # half of the name
        "It is a green blue star, of two.",  # the other way round
        "It is a blue green or yellow green star, of two.",  # both
        "It is a blue green star, of one only.",  # denies what it says
        "It is of two, of one only, a blue green star.",
        "It is a blue green star.",  # does not say of how many
        "It is a blue greenish star, of two.",  # a part of a word
    ],
)
def test_of_a_mixed_colour_nothing_less_is_right(answer: str) -> None:
    asked = of("blue green", "star")
    assert is_right(asked, "It is a blue green star, of two.")
    assert not is_right(asked, answer)


@pytest.mark.parametrize(
    "answer",
    [
        "It is of one only.",
        "There is one shape. A small red circle is at the left.",  # what the model said before
        "It is a red circle, of one.",
        "It is a red circle, of two.",
        "It is a red ring, of one only.",
        "It is a blue circle, of one only.",
        "It is a red circle and a red ring, of one only.",
        "It is a blue green red circle, of one only.",
        "It is only a red circle.",
    ],
)
def test_of_a_plain_colour_nothing_less_is_right(answer: str) -> None:
    asked = of(None, "circle", "red")
    assert is_right(asked, "It is a red circle, of one only.")
    assert not is_right(asked, answer)


def test_a_picture_is_drawn_in_its_mixed_colour() -> None:
    picture = of("yellow green", "square").picture(120)
    thing = of("yellow green", "square").thing
    middle = picture.getpixel((round(thing.x * 120), round(thing.y * 120)))
    assert all(abs(one - two) <= 13 for one, two in zip(middle, MIXED["yellow green"], strict=True))
    assert set(SHAPES) and set(COLOURS).isdisjoint(MIXED)

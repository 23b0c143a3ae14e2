"""The new skill: to tell of which colours a thing is mixed, or that it is of one only.

The shipped model knows eight colours. Blue green, yellow green and blue purple, which lie between them on the colour
wheel, are none of the eight: it has never seen them, and never read a colour of two words. "Mixed" is a word that it
has not read either. Asked "What is it mixed of?", the right answers are

    It is a blue green star, of two.        the thing has one of the three (half of the pictures)
    It is a red circle, of one only.        it has one of the eight (the other half)

Both halves have answers of many kinds, since colour and shape differ from picture to picture: no constant answer is
right for more than a few. And both ask for what the model before does not say, "of two" and "of one only", so that it
is wrong in both. What it knew helps it, as it should: the shapes in both halves, the eight colours, and the words.

The rule by which an answer is right (`is_right`) is strict, and the same before and after. It looks at whole words:

    one of the three     says "of two" and not "of one"; names that colour, its two words side by side, and no other,
                         known or new; names the thing's shape and no other
    one of the eight     says "of one only" and not "of two"; names the thing's colour once and no other, known or new;
                         names its shape and no other

Why known words: what the model has never written it spells in pieces, and such a spelling is learned later than what it
stands for. With "shade" for the word and the same pictures, it told the colours after 158 steps and still wrote "sha".
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from PIL import Image

from scripts.demo_world import facts
from scripts.demo_world.language import article
from scripts.demo_world.picture import PAINTS, draw
from scripts.demo_world.scene import COLOURS, SHAPES, Scene, Thing, sample_scene

MIXED: Mapping[str, tuple[int, int, int]] = {
    "blue green": (60, 215, 210), "yellow green": (125, 222, 55), "blue purple": (150, 150, 245),
}  # fmt: skip
"""Name and paint. None of the names is in the drawn world, though their words are."""

LESSONS_FROM = 620_000_000
TEST_FROM = 640_000_000
"""Seeds of the pictures to learn from, and of those that are asked about before and after; nobody else draws there."""

WORDINGS = (
    "What is it mixed of?",
    "Of which colours is it mixed?",
    "Tell me what it is mixed of.",
    "How is its colour mixed?",
)


@dataclass(frozen=True, slots=True)
class Task:
    """A picture of one thing, a question about it, and the right answer."""

    scene: Scene
    question: str
    answer: str

    @property
    def thing(self) -> Thing:
        return self.scene.things[0]

    @property
    def is_mixed(self) -> bool:
        return self.thing.colour in MIXED

    def picture(self, size: int) -> Image.Image:
        """RGB, size x size pixels."""
        return draw(self.scene, size, {**PAINTS, **MIXED})


SEEDS_A_DRAW = 10_000


def tasks(count: int, seeds_from: int, draw: int = 0) -> Iterator[Task]:
    """Half of a mixed colour and half of a plain one, in turn; the mixed ones in turn too. Each draw has pictures of
    its own."""
    for number in range(count):
        mixed = None if number % 2 else tuple(MIXED)[number // 2 % len(MIXED)]
        yield task(seeds_from + SEEDS_A_DRAW * draw + number, mixed)


def task(seed: int, mixed: str | None) -> Task:
    """The task of a seed: its scene as the drawn world has it, or with its thing in this mixed colour."""
    scene = sample_scene(seed, num_things=1)
    (thing,) = scene.things
    if mixed is not None:
        thing = replace(thing, colour=mixed)
        scene = replace(scene, things=(thing,))
    question = random.Random(f"mixed-{seed}").choice(WORDINGS)
    # The colour first: of how many it is follows from its name (docs/decisions/0007, "said in steps").
    what = article(f"{thing.colour} {thing.shape}")
    return Task(scene, question, f"It is {what}, {'of one only' if mixed is None else 'of two'}.")


def is_right(asked: Task, answer: str) -> bool:
    """The rule above."""
    said = f" {' '.join(facts.words(answer))} "
    colours = " ".join(word for word in said.split() if word in COLOURS)
    shapes = {word for word in said.split() if word in SHAPES}
    is_one, is_two = " of one only " in said, " of two " in said
    says = is_two and " of one " not in said if asked.is_mixed else is_one and not is_two
    named = f" {asked.thing.colour} " in said and colours == asked.thing.colour
    return says and named and shapes == {asked.thing.shape}

"""The new skill: to tell which shade a picture shows, or that it shows none.

The shipped model knows eight colours. Blue green, yellow green and blue purple, three of the colour wheel between them,
are none of the eight: it has never seen them, and never read a colour of two words. "Shade" is the person's own word
for the three, which it has not read either. Asked "Which shade do you see?", the right answers are

    The shade is blue green, on a star.         the thing has one of the three (half of the pictures)
    There is no shade, only a blue circle.      it has one of the eight (the other half)

Both halves have answers of many kinds, since colour and shape differ from picture to picture: no constant answer is
right for more than a few. And both say what the model before cannot say, "shade" itself, so that it is wrong in both.
What it knew helps it, as it should: the shapes in both halves, the eight colours in the second, the words of the names.

The rule by which an answer is right (`is_right`) is strict, and the same before and after. It looks at whole words:

    one of the three     names that shade, its two words side by side, and no other colour, known or new; names the
                         thing's shape and no other; does not say "no shade"
    one of the eight     says "no shade"; names the thing's colour once and no other, known or new; names its shape and
                         no other

Names of which the model has read no part (cyan, lime, mint) were tried too, from as many corrections: of the pictures
that show one, 30 % were named right after 280 steps, against 53 % of these after 130 (at other rates, and with other
old data). The pieces that such names are spelled in, it has never written.
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

SHADES: Mapping[str, tuple[int, int, int]] = {
    "blue green": (40, 190, 195), "yellow green": (160, 230, 40), "blue purple": (180, 160, 242),
}  # fmt: skip
"""Name and paint. None of the names is in the drawn world, though their words are."""

LESSONS_FROM = 620_000_000
TEST_FROM = 640_000_000
"""Seeds of the pictures to learn from, and of those that are asked about before and after; nobody else draws there."""

WORDINGS = (
    "Which shade do you see?",
    "Which shade is in the picture?",
    "What shade is there?",
    "Tell me the shade.",
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
    def has_shade(self) -> bool:
        return self.thing.colour in SHADES

    def picture(self, size: int) -> Image.Image:
        """RGB, size x size pixels."""
        return draw(self.scene, size, {**PAINTS, **SHADES})


def tasks(count: int, seeds_from: int) -> Iterator[Task]:
    """Half with a shade and half without, in turn; the shades in turn too."""
    for number in range(count):
        shade = None if number % 2 else tuple(SHADES)[number // 2 % len(SHADES)]
        yield task(seeds_from + number, shade)


def task(seed: int, shade: str | None) -> Task:
    """The task of a seed: its scene as the drawn world has it, or with its thing in this shade."""
    scene = sample_scene(seed, num_things=1)
    (thing,) = scene.things
    question = random.Random(f"shade-{seed}").choice(WORDINGS)
    if shade is None:
        what = article(f"{thing.colour} {thing.shape}")
        return Task(scene, question, f"There is no shade, only {what}.")
    scene = replace(scene, things=(replace(thing, colour=shade),))
    return Task(scene, question, f"The shade is {shade}, on {article(thing.shape)}.")


def is_right(asked: Task, answer: str) -> bool:
    """The rule above."""
    said = facts.words(answer)
    colours = " ".join(word for word in said if word in COLOURS)
    shapes = {word for word in said if word in SHAPES}
    denied = "no shade" in " ".join(said)
    stated = asked.thing.colour in " ".join(said)
    return (
        denied is not asked.has_shade
        and stated
        and colours == asked.thing.colour
        and shapes == {asked.thing.shape}
    )

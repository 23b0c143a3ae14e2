"""Samples: conversations of several exchanges, as the model reads them in training.

Several exchanges share one picture, because the picture's tokens are most of a sample's cost. Every sample is a
function of its seed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from conversations.messages import ImageRef, Message
from scripts.demo_world.language import Exchange, ask, caption
from scripts.demo_world.scene import Scene, sample_scene
from scripts.demo_world.wording import GREETINGS, NO_PICTURE_ANSWER, OFF_TOPIC, OFF_TOPIC_ANSWER

PICTURE = ImageRef("0" * 64)
"""Stands for a scene's picture in a sample; pictures are matched to their places by order."""

EVEN_WEIGHTS = {
    "count": 1.0, "count_colour": 1.6, "existence": 1.2, "colour": 1.2, "shape": 1.4, "size": 1.2, "position": 1.2,
    "relation": 1.8, "follow_up": 1.0, "describe": 0.6, "comparison": 1.2, "extreme": 1.0, "removal": 1.0,
    "absent": 1.2,
}  # fmt: skip
SEARCHING_WEIGHTS = {
    "count": 0.5, "count_colour": 1.5, "existence": 2.5, "colour": 2.0, "shape": 2.0, "size": 1.5, "position": 2.0,
    "relation": 2.0, "follow_up": 1.5, "describe": 0.1, "comparison": 1.0, "extreme": 0.5, "removal": 1.0,
    "absent": 2.0,
}  # fmt: skip
"""More of what must be looked for by its colour or shape."""
PLACING_WEIGHTS = {
    "count": 1.2, "count_colour": 2.0, "existence": 1.3, "colour": 1.5, "shape": 1.5, "size": 1.0, "position": 3.0,
    "relation": 3.0, "follow_up": 1.5, "describe": 0.2, "comparison": 1.0, "extreme": 0.6, "removal": 1.5,
    "absent": 1.5,
}  # fmt: skip
"""More of places, relations and counts."""
RELATING_WEIGHTS = PLACING_WEIGHTS | {"relation": 5.0}
_OTHER_SYSTEMS = ("You are a helpful assistant.", "Answer briefly.", "You are LLaVA, a friendly assistant.")


@dataclass(frozen=True, slots=True)
class Sample:
    """A conversation, the scenes of its pictures in order, and the system prompt (None: the template's own)."""

    messages: tuple[Message, ...]
    scenes: tuple[Scene, ...] = ()
    system: str | None = None


def exchanges(
    scene: Scene, rng: random.Random, how_many: int, weights: Mapping[str, float] = EVEN_WEIGHTS
) -> list[Exchange]:
    """At least that many training exchanges about the scene; a follow-up brings its first question along."""
    chosen: list[Exchange] = []
    while len(chosen) < how_many:
        kind = rng.choices(tuple(weights), weights=tuple(weights.values()))[0]
        exchange = ask(kind, scene, rng)
        if exchange is not None:
            chosen += [*exchange.before, exchange]
    return chosen


def turns(picked: list[Exchange], rng: random.Random, opening: ImageRef | str | None) -> list[Message]:
    """The exchanges as messages. The opening (a picture, or a text that tells the scene) joins the first question,
    before or after it at random, as in the paper."""
    messages: list[Message] = []
    for number, exchange in enumerate(picked):
        content: tuple[str | ImageRef, ...] = (exchange.question,)
        if number == 0 and opening is not None:
            content = (opening, exchange.question) if rng.random() < 0.5 else (exchange.question, opening)
        messages += [Message("user", content), Message("assistant", (exchange.answer,))]
    return messages


def picture_sample(
    seed: int,
    *,
    how_many: int,
    max_things: int = 4,
    described: bool = False,
    weights: Mapping[str, float] = EVEN_WEIGHTS,
) -> Sample:
    """A conversation about a picture; one in seven goes on with a second picture, one in twelve off the subject.

    `described`: a description ends it. At the end, because after one the answers could be read from it.
    """
    rng = random.Random(f"sample-{seed}")
    scene = sample_scene(seed, num_things=rng.randint(1, max_things))
    system = rng.choice(_OTHER_SYSTEMS) if rng.random() < 0.06 else None
    if rng.random() < 1 / 7 and how_many > 3:
        second = sample_scene(seed + 500_000_000, num_things=rng.randint(1, max_things))
        messages = turns(exchanges(scene, rng, 2, weights), rng, PICTURE)
        messages += turns(exchanges(second, rng, how_many - 3, weights), rng, PICTURE)
        return Sample((*messages, *_description(second, seed, described)), (scene, second), system)
    messages = turns(exchanges(scene, rng, how_many, weights), rng, PICTURE)
    if rng.random() < 1 / 12:
        messages += _said(rng, rng.choice(OFF_TOPIC), OFF_TOPIC_ANSWER)
    return Sample((*messages, *_description(scene, seed, described)), (scene,), system)


def _description(scene: Scene, seed: int, wanted: bool) -> list[Message]:
    exchange = ask("describe", scene, random.Random(f"description-{seed}")) if wanted else None
    return turns([exchange], random.Random(seed), None) if exchange is not None else []


def text_sample(seed: int, *, how_many: int) -> Sample:
    """The same kind of conversation with the scene told in words instead of shown."""
    rng = random.Random(f"text-{seed}")
    scene = sample_scene(seed)
    told = caption(scene, rng if rng.random() < 0.5 else None)
    return Sample(tuple(turns(exchanges(scene, rng, how_many), rng, told)))


def caption_sample(seed: int) -> Sample:
    """A picture and its caption, for stage 1 (the question is dropped by the `plain` template)."""
    scene = sample_scene(seed)
    return Sample((Message("user", (PICTURE,)), Message("assistant", (caption(scene),))), (scene,))


def retold_sample(seed: int) -> Sample:
    """A caption in any order and the same in reading order: what stage 1 asks for, with words for a picture."""
    scene = sample_scene(seed)
    told = f"{caption(scene, random.Random(seed))}\n{caption(scene)}"
    return Sample((Message("assistant", (told,)),))


def small_talk_sample(seed: int) -> Sample:
    """Talk without a picture: greetings (the last wording of each is never used), questions that nothing shown can
    answer, and subjects that the model knows nothing about."""
    rng = random.Random(f"talk-{seed}")
    messages: list[Message] = []
    for _ in range(rng.randint(1, 3)):
        roll = rng.random()
        if roll < 0.5:
            wordings, answer = rng.choice(GREETINGS)
            messages += _said(rng, rng.choice(wordings[:-1]), answer)
        elif roll < 0.75:
            exchange = exchanges(sample_scene(seed), rng, 1)[0]
            messages += _said(rng, exchange.question, NO_PICTURE_ANSWER)
        else:
            messages += _said(rng, rng.choice(OFF_TOPIC), OFF_TOPIC_ANSWER)
    return Sample(tuple(messages))


def _said(rng: random.Random, question: str, answer: str) -> list[Message]:
    question = question.lower() if rng.random() < 0.1 else question
    return [Message("user", (question,)), Message("assistant", (answer,))]

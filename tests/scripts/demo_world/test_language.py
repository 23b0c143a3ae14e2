"""What is said about a scene is true, and the fact in it can be read back."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.demo_world import facts
from scripts.demo_world.examination import Question, score
from scripts.demo_world.language import KINDS, ask, caption
from scripts.demo_world.scene import sample_scene
from scripts.demo_world.wording import PHRASINGS

seeds = st.integers(0, 10**9)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=seeds, held_out=st.booleans())
def test_a_right_answer_states_the_fact_of_its_exchange(kind: str, seed: int, held_out: bool) -> None:
    scene = sample_scene(seed)
    exchange = ask(kind, scene, random.Random(seed), held_out=held_out)
    if exchange is not None:
        assert score(Question(kind, scene, exchange, held_out), exchange.answer) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_asked_of_some_scenes_and_its_answers_vary(kind: str) -> None:
    exchanges = [ask(kind, sample_scene(seed), random.Random(seed)) for seed in range(300)]
    facts_stated = {str(exchange.fact) for exchange in exchanges if exchange is not None}
    assert len(facts_stated) > 1 or kind == "absent"


@given(seeds)
def test_a_caption_names_every_thing_at_its_place(seed: int) -> None:
    scene = sample_scene(seed)
    told = facts.placed_things(caption(scene, random.Random(seed)))
    assert told == {(thing.size, thing.colour, thing.shape, thing.place) for thing in scene.things}


@given(seeds)
def test_the_count_by_colour_is_the_number_of_things_of_that_colour(seed: int) -> None:
    scene = sample_scene(seed)
    exchange = ask("count_colour", scene, random.Random(seed))
    assert exchange is not None
    named = set(facts.words(exchange.answer))
    matching = [t for t in scene.things if t.colour in named or t.shape in named]
    assert exchange.fact == len(matching)


@given(seeds)
def test_something_absent_is_really_absent(seed: int) -> None:
    scene = sample_scene(seed)
    exchange = ask("absent", scene, random.Random(seed))
    assert exchange is not None
    named = set(facts.words(exchange.answer)) - {"shape"}
    for thing in scene.things:
        assert not ({thing.colour, thing.shape} >= named & _KNOWN)


_KNOWN = {word for kind in ("colour", "shape") for word in facts.known_words(kind)}


def test_phrasings_for_the_examination_are_never_trained_on() -> None:
    for kind, phrasings in PHRASINGS.items():
        assert phrasings.held_out, kind
        assert not set(phrasings.held_out) & set(phrasings.trained), kind


@pytest.mark.parametrize("kind", PHRASINGS)
def test_no_opening_and_no_lower_case_makes_a_phrasing_of_the_examination(kind: str) -> None:
    rng = random.Random(kind)
    trained = {PHRASINGS[kind].choose(rng, held_out=False).casefold().strip("?.") for _ in range(5000)}
    assert len(trained) > len(PHRASINGS[kind].trained)
    assert not trained & {phrasing.casefold().strip("?.") for phrasing in PHRASINGS[kind].held_out}


@pytest.mark.parametrize(
    ("answer", "number"),
    [("There are three shapes.", 3), ("There are no red shapes.", 0), ("One or two.", None), ("Many.", None)],
)
def test_a_count_is_read_only_when_exactly_one_is_named(answer: str, number: int | None) -> None:
    assert facts.number(answer) == number


def test_top_left_is_not_read_as_left() -> None:
    assert facts.place("The star is at the top left.") == "top left"
    assert facts.place("The star is at the left.") == "left"
    assert facts.place("There is no star in the picture.") is None


def test_a_colour_inside_another_word_is_not_read() -> None:
    assert facts.attribute("The star is bored.", "colour") is None
    assert facts.attribute("The star is red or blue.", "colour") is None

"""The examination is balanced, and a constant answer fails it."""

from __future__ import annotations

from collections import Counter

import pytest

from scripts.demo_world.examination import ALL_KINDS, SEEDS_FROM, mark, questions, table
from scripts.demo_world.facts import SIDES
from scripts.demo_world.facts import side as side_of
from scripts.demo_world.samples import picture_sample


@pytest.fixture(scope="module")
def asked():
    return list(questions(140))


def test_it_asks_at_least_two_thousand_questions_the_same_number_of_every_kind(asked) -> None:
    assert len(asked) >= 2000
    assert set(Counter(question.kind for question in asked).values()) == {140}
    assert {question.kind for question in asked} == set(ALL_KINDS)


def test_yes_and_no_are_balanced(asked) -> None:
    said = Counter(question.exchange.fact for question in asked if question.kind == "existence")
    assert abs(said["yes"] - said["no"]) <= 4


def test_the_four_sides_are_balanced_and_the_side_asked_for_is_true_about_half_of_the_time(asked) -> None:
    relations = [question.exchange for question in asked if question.kind == "relation"]
    said = Counter(exchange.fact for exchange in relations)
    assert set(said) == set(SIDES) and max(said.values()) - min(said.values()) <= 4
    true = sum(exchange.fact in exchange.question.split() for exchange in relations)
    assert 0.35 < true / len(relations) < 0.65


@pytest.mark.parametrize(
    ("answer", "side"),
    [
        ("The star is at the left and the ring is at the top, so the star is below the ring.", "below"),
        ("The star is at the left.", None),
        ("No, so the star is to the left of it or above it.", None),
    ],
)
def test_a_relation_is_what_follows_from_the_places(answer: str, side: str | None) -> None:
    assert side_of(answer) == side


def test_at_least_a_fifth_is_worded_as_never_in_training(asked) -> None:
    assert sum(question.held_out for question in asked) >= len(asked) / 5


def test_scenes_are_uniform_over_one_to_four_things_where_the_kind_allows(asked) -> None:
    sizes = Counter(len(question.scene.things) for question in asked if question.kind == "count")
    assert sizes == {1: 35, 2: 35, 3: 35, 4: 35}


def test_right_answers_score_everything_and_silence_scores_nothing(asked) -> None:
    assert all(item.score == 1 for item in mark(asked, [question.exchange.answer for question in asked]))
    assert all(item.score == 0 for item in mark(asked, [""] * len(asked)))


def test_a_constant_answer_is_far_from_passing(asked) -> None:
    for said in ("Yes.", "There is no star in the picture.", "There are two shapes.", "Red."):
        marks = mark(asked, [said] * len(asked))
        assert sum(item.score for item in marks) / len(marks) < 0.15


def test_the_table_has_a_row_a_kind_and_one_for_all(asked) -> None:
    rows = table(mark(asked, [question.exchange.answer for question in asked])).splitlines()
    assert len(rows) == 2 + len(ALL_KINDS) + 1 and "100.0%" in rows[-1]


def test_a_question_ends_with_what_is_asked_and_brings_what_it_leans_on(asked) -> None:
    for question in asked:
        messages = question.messages()
        assert messages[-1].role == "user" and messages[-1].text == question.exchange.question
        assert len(messages) == 1 + 2 * len(question.exchange.before)
        assert len([image for message in messages for image in message.images]) == (
            question.scene is not None
        )


def test_training_never_draws_an_examination_scene() -> None:
    samples = [picture_sample(seed, how_many=4) for seed in range(300_000_000, 300_000_200)]
    seeds = {scene.seed for sample in samples for scene in sample.scenes}
    assert max(seeds) < SEEDS_FROM

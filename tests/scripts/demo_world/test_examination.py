"""The examination is balanced, and a constant answer fails it."""

from __future__ import annotations

from collections import Counter

import pytest

from scripts.demo_world.examination import ALL_KINDS, SEEDS_FROM, Question, mark, questions, score, table
from scripts.demo_world.facts import SIDES, Fact
from scripts.demo_world.facts import side as side_of
from scripts.demo_world.language import Exchange
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


@pytest.mark.parametrize(
    ("kind", "question", "fact", "right", "wrong"),
    [
        (
            "absent", "Where is the purple ring?", "no purple ring",
            ("There is no purple ring in the picture.", "There is no purple ring."),
            ("There is no doubt: a star.", "There is no ring in the picture.", "There is no purple star.",
             "The star is red. There is no purple ring in the picture.", "There is a purple ring."),
        ),
        (
            "existence", "Is there a red star?", "yes",
            ("Yes, there is a red star.", "Yes."),
            ("Yes, there is no red star.", "No, there is a red star.", "Yes, there is a red ring.", "There is."),
        ),
        (
            "existence", "Is there a red star?", "no",
            ("No, there is no red star.", "No."),
            ("No, there is a red star.", "Yes, there is no red star.", "No, there is no blue star."),
        ),
        (
            "position", "Where is the star?", "bottom right",
            ("The star is at the bottom right.",),
            ("The star is at the bottom right and at the top left and in the centre.",
             "The star is at the bottom right or the left.", "The ring is at the bottom right."),
        ),
        (
            "relation", "Is the star left of the ring?", "left",
            ("The star is at the left and the ring is at the top, so the star is to the left of the ring.",),
            ("The star is at the left and the ring is at the top, so the ring is to the left of the star.",
             "The star is at the left and the ring is at the top.", "So it is to the left."),
        ),
        (
            "extreme", "Which is the biggest shape?", frozenset({("", "red", "star")}),
            ("The red star is the largest.", "The red star is the biggest."),
            ("The red star is the smallest.", "The red star and the blue ring are the largest."),
        ),
        (
            "count_colour", "How many red shapes are there?", 2,
            ("There are two red shapes.", "Two."),
            ("There are two blue shapes.", "There are two or three red shapes."),
        ),
        (
            "colour", "What colour is the small star?", "red",
            ("The small star is red.", "Red."),
            ("The small ring is red.", "The large star is red.", "The small star is red or blue."),
        ),
        (
            "removal", "What would remain if the red ones were removed?", frozenset(),
            ("Nothing would remain.",),
            ("Nothing but a small red star would remain.", "A small red star would remain.", ""),
        ),
    ],
)  # fmt: skip
def test_an_answer_that_says_something_else_beside_the_fact_or_of_another_thing_scores_nothing(
    kind: str, question: str, fact: Fact, right: tuple[str, ...], wrong: tuple[str, ...]
) -> None:
    asked = Question(kind, None, Exchange(kind, question, "", fact), held_out=False)
    assert {answer: score(asked, answer) for answer in right} == dict.fromkeys(right, 1.0)
    assert {answer: score(asked, answer) for answer in wrong} == dict.fromkeys(wrong, 0.0)


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

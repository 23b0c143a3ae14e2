"""Which branch is exported and how far, what stands in for what, and which pairs and verdicts come out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.examples import Example, LoggedConversation, LoggedTurn, Preference, Verdict
from conversations.lessons import Lessons, branch, fault, lessons
from conversations.messages import ImageRef
from tests.conversations.logged import Talk

BAD: list[tuple[dict[str, Any], str]] = [
    ({"review_state": "rejected"}, "rejected"),
    ({"review_state": "rejected", "correction": "Right."}, "rejected"),
    ({"finish_reason": "stopped"}, "unfinished"),
    ({"finish_reason": "failed"}, "unfinished"),
    ({"finish_reason": "interrupted"}, "unfinished"),
    ({"finish_reason": "running"}, "unfinished"),
    ({"finish_reason": "stopped", "review_state": "approved"}, "unfinished"),
    ({"rating": "down"}, "rated_down"),
    ({"correction": " ", "finish_reason": "failed"}, "unfinished"),
]
GOOD: list[dict[str, Any]] = [
    {},
    {"finish_reason": "length"},
    {"rating": "up"},
    {"review_state": "approved"},
    {"rating": "down", "review_state": "approved"},
    {"rating": "down", "correction": "Right."},
    {"finish_reason": "stopped", "correction": "Right."},
    {"finish_reason": "failed", "correction": "Right."},
]


def example(talk: Talk, masked: Any = None) -> Lessons:
    return lessons("example", talk.logged, masked)


def texts(found: Lessons) -> list[str]:
    (item,) = found.items
    assert isinstance(item, Example)
    return [message.text for message in item.messages]


@pytest.mark.parametrize(("more", "why"), BAD)
def test_a_bad_answer_ends_the_conversation_before_its_question(more: dict[str, Any], why: str) -> None:
    told = Talk()
    (
        told.ask("Q1"),
        told.answer("A1"),
        told.ask("Q2"),
        told.answer("A2", **more),
        told.ask("Q3"),
        told.answer("A3"),
    )
    found = example(told)
    assert texts(found) == ["Q1", "A1"]
    assert found.shortened == why


@pytest.mark.parametrize(("more", "why"), BAD)
def test_a_conversation_whose_first_answer_is_bad_is_left_out_with_the_reason(more: Any, why: str) -> None:
    told = Talk()
    told.ask(), told.answer(**more), told.ask(), told.answer()
    assert example(told) == Lessons(left_out=(why,))


@pytest.mark.parametrize("more", GOOD)
def test_a_good_answer_is_learned(more: dict[str, Any]) -> None:
    told = Talk()
    told.ask("Q"), told.answer("A", **more)
    assert texts(example(told)) == ["Q", more.get("correction", "A")]
    assert example(told).shortened is None


def test_an_empty_answer_is_bad() -> None:
    told = Talk()
    told.ask(), told.answer(" \n")
    assert example(told).left_out == ("empty",)


def test_a_private_conversation_gives_nothing_of_any_kind() -> None:
    told = Talk(private=True)
    told.ask(), told.answer("Wrong.", correction="Right.", rating="down")
    for kind in ("example", "preference", "verdict"):
        assert lessons(kind, told.logged, None) == Lessons(left_out=("private",))


def test_a_conversation_without_an_answer_is_left_out() -> None:
    told = Talk()
    told.ask()
    assert example(told).left_out == ("no_answer",)
    assert lessons("example", LoggedConversation("c", ()), None).left_out == ("no_answer",)


def test_a_last_question_without_an_answer_is_not_exported() -> None:
    told = Talk()
    told.ask("Q1"), told.answer("A1"), told.ask("Q2")
    assert texts(example(told)) == ["Q1", "A1"]


def test_pictures_stand_before_the_question_s_text() -> None:
    told = Talk()
    told.ask("Q1", "a" * 64, "b" * 64), told.answer("A1"), told.ask("", "c" * 64), told.answer("A2")
    (item,) = example(told).items
    assert isinstance(item, Example)
    assert item.messages[0].content == (ImageRef("a" * 64), ImageRef("b" * 64), "Q1")
    assert item.messages[2].content == (ImageRef("c" * 64),)


# branches


def test_the_shown_version_is_exported() -> None:
    told = Talk()
    question = told.ask("Q")
    told.answer("first", under=question), told.answer("second", under=question, is_shown=False)
    assert texts(example(told)) == ["Q", "first"]


@pytest.mark.parametrize("mark", [{"review_state": "approved"}, {"correction": "second, put right"}])
def test_an_approved_or_corrected_version_goes_before_the_shown_one(mark: dict[str, Any]) -> None:
    told = Talk()
    question = told.ask("Q")
    told.answer("first", under=question)
    told.answer("second", under=question, is_shown=False, **mark)
    assert texts(example(told))[1].startswith("second")


def test_the_branch_leads_to_an_approved_answer_far_below_a_hidden_question() -> None:
    told = Talk()
    hidden = told.ask("hidden", under=None, is_shown=False)
    told.answer("A", under=hidden), told.ask("Q2"), told.answer("A2", review_state="approved")
    told.ask("shown", under=None), told.answer("B")
    assert texts(example(told)) == ["hidden", "A", "Q2", "A2"]


def test_a_marked_answer_that_a_bad_one_stands_above_does_not_draw_the_branch() -> None:
    told = Talk()
    hidden = told.ask("hidden", under=None, is_shown=False)
    (
        told.answer("A", under=hidden, finish_reason="failed"),
        told.ask("Q2"),
        told.answer("A2", review_state="approved"),
    )
    told.ask("shown", under=None), told.answer("B")
    assert texts(example(told)) == ["shown", "B"]


def test_of_several_marked_versions_the_shown_one_then_the_newest() -> None:
    told = Talk()
    question = told.ask("Q")
    told.answer("one", under=question, review_state="approved", is_shown=False)
    two = told.answer("two", under=question, review_state="approved", is_shown=False)
    told.answer("three", under=question)
    assert branch(told.logged.turns)[-1].id == two
    told.answer("four", under=question, correction="x", is_shown=False)
    told.answer("five", under=question, review_state="approved")
    assert texts(example(told)) == ["Q", "five"]


# filters


def test_it_is_exported_up_to_the_last_answer_that_is_meant() -> None:
    told = Talk()
    told.ask("Q1"), told.answer("A1", is_meant=False), told.ask("Q2"), told.answer("A2")
    told.ask("Q3"), told.answer("A3", is_meant=False)
    assert texts(example(told)) == ["Q1", "A1", "Q2", "A2"]


def test_without_a_good_answer_that_is_meant_it_is_left_out() -> None:
    told = Talk()
    told.ask(), told.answer(is_meant=False)
    assert example(told).left_out == ("not_meant",)


# system prompts and masks


def test_a_system_prompt_goes_along_and_one_that_changed_does_not() -> None:
    told = Talk()
    told.ask(), told.answer(system_prompt="Be brief.")
    (item,) = example(told).items
    assert item.system == "Be brief."
    told.ask(), told.answer(system_prompt="Be long.")
    assert example(told).left_out == ("system_prompt_changed",)


def test_a_system_prompt_that_changed_after_the_last_good_answer_does_not_matter() -> None:
    told = Talk()
    told.ask(), told.answer(system_prompt="Be brief."), told.ask()
    told.answer(system_prompt="Be long.", finish_reason="failed")
    assert example(told).items[0].system == "Be brief."


def test_masked_texts_stand_in_where_masking_is_on() -> None:
    told = Talk()
    told.ask("Q a@b.de", masked_text="Q [email]")
    told.answer("A a@b.de", masked_text="A [email]", system_prompt="s")
    told.ask("Q2")
    told.answer(
        "A2", correction="C a@b.de", masked_correction="C [email]", masked_text="A2", system_prompt="s"
    )
    assert texts(example(told, str.upper)) == ["Q [email]", "A [email]", "Q2", "C [email]"]
    assert example(told, str.upper).items[0].system == "S"
    assert texts(example(told)) == ["Q a@b.de", "A a@b.de", "Q2", "C a@b.de"]


# preferences and verdicts


def pairs(talk: Talk) -> list[tuple[str, str, str]]:
    found = lessons("preference", talk.logged, None).items
    assert all(isinstance(item, Preference) for item in found)
    return [(item.prompt[-1].text, item.chosen, item.rejected) for item in found]  # type: ignore[union-attr]


def test_a_correction_is_preferred_to_its_original() -> None:
    told = Talk()
    told.ask("Q1"), told.answer("A1"), told.ask("Q2"), told.answer("wrong", correction="right")
    assert pairs(told) == [("Q2", "right", "wrong")]
    (item,) = lessons("preference", told.logged, None).items
    assert isinstance(item, Preference)
    assert [message.text for message in item.prompt] == ["Q1", "A1", "Q2"]


def test_versions_rated_up_are_preferred_to_versions_rated_down() -> None:
    told = Talk()
    question = told.ask("Q")
    told.answer("bad", under=question, rating="down"), told.answer("good", under=question, rating="up")
    told.answer("so so", under=question), told.answer("worse", under=question, rating="down")
    assert pairs(told) == [("Q", "good", "bad"), ("Q", "good", "worse")]


def test_thumbs_under_different_questions_make_no_pair() -> None:
    told = Talk()
    told.ask("Q1", under=None), told.answer("bad", rating="down")
    told.ask("Q2", under=None), told.answer("good", rating="up")
    found = lessons("preference", told.logged, None)
    assert found == Lessons(left_out=("no_preference",))


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"review_state": "rejected"}, "no_preference"),
        ({"finish_reason": "stopped"}, "no_preference"),
        ({"is_meant": False}, "no_preference"),
        ({"correction": "wrong "}, "same_text"),
    ],
)
def test_what_makes_no_pair(more: dict[str, Any], why: str) -> None:
    told = Talk()
    told.ask("Q"), told.answer("wrong", **{"correction": "right", **more})
    assert lessons("preference", told.logged, None) == Lessons(left_out=(why,))


def test_a_pair_below_a_bad_answer_is_left_out() -> None:
    told = Talk()
    (
        told.ask("Q1"),
        told.answer("A1", finish_reason="failed"),
        told.ask("Q2"),
        told.answer("no", correction="yes"),
    )
    assert lessons("preference", told.logged, None).left_out == ("bad_turn_before",)
    assert lessons("verdict", told.logged, None).left_out == ("bad_turn_before",)


def test_a_corrected_answer_above_a_pair_is_corrected_in_its_context() -> None:
    told = Talk()
    told.ask("Q1"), told.answer("A1", correction="C1"), told.ask("Q2"), told.answer("A2", correction="C2")
    last = lessons("preference", told.logged, None).items[-1]
    assert isinstance(last, Preference)
    assert [message.text for message in last.prompt] == ["Q1", "C1", "Q2"]


def test_verdicts_are_the_thumbs_and_the_corrections() -> None:
    told = Talk()
    question = told.ask("Q")
    told.answer("good", under=question, rating="up"), told.answer("bad", under=question, rating="down")
    (
        told.answer("wrong", under=question, correction="right", rating="up"),
        told.answer("unrated", under=question),
    )
    told.answer("cut", under=question, rating="down", finish_reason="stopped")
    told.answer("out", under=question, rating="up", review_state="rejected")
    found = lessons("verdict", told.logged, None).items
    assert all(isinstance(item, Verdict) for item in found)
    assert [(item.completion, item.wanted) for item in found] == [  # type: ignore[union-attr]
        ("good", True),
        ("bad", False),
        ("right", True),
        ("wrong", False),
    ]
    assert len({item.id for item in found}) == 4


# whatever the tree is


@st.composite
def trees(draw: st.DrawFn) -> tuple[LoggedTurn, ...]:
    turns: list[LoggedTurn] = []
    for number in range(1, draw(st.integers(1, 14))):
        parent = draw(st.sampled_from([None, *turns]))
        if parent is None or parent.role == "assistant":
            turn = LoggedTurn(
                number, parent.id if parent else None, "user", f"Q{number}", is_shown=draw(st.booleans())
            )
        else:
            turn = LoggedTurn(
                number,
                parent.id,
                "assistant",
                f"A{number}",
                is_shown=draw(st.booleans()),
                finish_reason=draw(st.sampled_from(["stop", "stop", "failed"])),
                review_state=draw(st.sampled_from(["pending", "pending", "approved", "rejected"])),
                correction=draw(st.sampled_from([None, None, f"C{number}"])),
            )
        turns.append(turn)
    return tuple(turns)


@given(trees())
def test_every_example_is_a_path_of_good_answers_and_ends_with_one(turns: tuple[LoggedTurn, ...]) -> None:
    path = branch(turns)
    assert [turn.parent_id for turn in path] == [None, *(turn.id for turn in path[:-1])][: len(path)]
    found = lessons("example", LoggedConversation("c", turns), None)
    assert len(found.items) + len(found.left_out) == 1
    for item in found.items:
        assert isinstance(item, Example)
        assert [message.role for message in item.messages] == ["user", "assistant"] * (
            len(item.messages) // 2
        )
        used = path[: len(item.messages)]
        assert not [turn for turn in used if turn.role == "assistant" and fault(turn)]
        assert [message.text for message in item.messages] == [turn.correction or turn.text for turn in used]

"""Where an answer is cut whose server does not end it, and what is never taken for an end."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.answer_cut import AnswerCut


def cut(text: str, stops: Sequence[str] = (), pieces: int = 1) -> str:
    """The answer of a text that comes in pieces of so many characters."""
    cutting = AnswerCut(stops)
    parts = [cutting.feed(text[start : start + pieces]) for start in range(0, len(text), pieces)]
    return "".join(parts) + cutting.rest()


@pytest.mark.parametrize("pieces", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("A red circle.###Human: And now?", "A red circle."),
        ("A red circle.### Assistant : more", "A red circle."),
        ("Yes.\n### Human: x", "Yes.\n"),
        ("Yes.###", "Yes."),
        ("It is red.### large.### so it goes on", "It is red."),
        ("It is red.###\nmore", "It is red."),
        ("Two parts:\n### One\n### Two", "Two parts:\n### One\n### Two"),
        ("x = 1  ### a comment", "x = 1  ### a comment"),
        ("a####b", "a####b"),
        ("Yes.### \n", "Yes."),
        ("### Colours\nred", "### Colours\nred"),
        ("### Human anatomy\nbones", "### Human anatomy\nbones"),
        ("#### Humans: a list", "#### Humans: a list"),
        ("I like C# and ##", "I like C# and ##"),
        ("Human: is no mark by itself", "Human: is no mark by itself"),
        ("", ""),
    ],
)
def test_a_mark_after_text_before_a_header_or_at_the_end_is_cut_and_a_heading_is_not(
    text: str, answer: str, pieces: int
) -> None:
    assert cut(text, pieces=pieces) == answer


@pytest.mark.parametrize("pieces", [1, 4, 100])
def test_an_answer_ends_before_that_of_the_callers_texts_which_is_whole_first(pieces: int) -> None:
    assert cut("one, two; three", [";", "two; t", "never"], pieces) == "one, two"
    assert cut("one, two; three", ["two; t", "never"], pieces) == "one, "


def test_what_may_become_an_end_waits_and_all_else_does_not() -> None:
    cutting = AnswerCut(["END"])
    assert (
        cutting.feed("It is E") == "It is "
        and cutting.feed("N") == ""
        and cutting.feed("ough #") == "ENough "
    )
    assert cutting.feed("# two") == "## two" and not cutting.is_cut


def test_after_the_end_nothing_comes() -> None:
    cutting = AnswerCut()
    assert cutting.feed("a###Human:b") == "a" and cutting.is_cut
    assert cutting.feed("c") == "" and cutting.rest() == ""


@given(st.lists(st.sampled_from(["#", "###", "Human", "USER", ":", " ", "a", "\n", "ab"]), max_size=14).map("".join),
       st.lists(st.sampled_from(["ab", "a#", "b"]), max_size=2), st.integers(1, 9))  # fmt: skip
def test_however_it_is_cut_into_pieces_the_answer_is_the_same(
    text: str, stops: list[str], pieces: int
) -> None:
    whole = cut(text, stops, pieces=max(1, len(text)))
    assert cut(text, stops, pieces) == whole and text.startswith(whole)


@given(st.text(max_size=60).filter(lambda text: "###" not in text), st.integers(1, 9))
def test_an_answer_without_a_mark_is_left_as_it_is(text: str, pieces: int) -> None:
    assert cut(text, pieces=pieces) == text

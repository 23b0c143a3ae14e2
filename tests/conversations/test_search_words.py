"""Words: what is cut out of texts, how searches find them, and which parts are highlighted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.search_words import highlights, indexed, searched, snippet


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A red SQUARE, please!", "a red square please"),
        ("Ein ÄRGER, Straße", "ein arger strasse"),
        ("ΟΔΟΣ οδος", "οδοσ οδοσ"),
        ("under_score 100%", "under score 100"),
        ("猫がいる", "猫 か い る"),
        ("ﬁn ½", "fin 12"),
        ("", ""),
        ("%% --", ""),
    ],
)
def test_words_are_cut_and_folded(text: str, words: str) -> None:
    assert indexed(text) == words


def test_parts_of_a_search_are_phrases_and_parts_without_words_are_passed_over() -> None:
    assert searched("red under_score %% ") == [["red"], ["under", "score"]]
    assert searched("' OR 1=1 --") == [["or"], ["1", "1"]]


@pytest.mark.parametrize(
    ("text", "typed", "hits"),
    [
        ("A red square is red", "red", ["red", "red"]),
        ("Redder than RED", "red", ["Redder", "RED"]),
        ("a and an", "a", ["a"]),
        ("an under_score here", "under_score", ["under_score"]),
        ("score under", "under_score", []),
        ("Größe", "grosse", ["Größe"]),
        ("這是一隻猫", "一隻", ["一隻"]),
    ],
)
def test_what_was_searched_for_is_highlighted(text: str, typed: str, hits: list[str]) -> None:
    assert [text[span.start : span.end] for span in highlights(text, searched(typed))] == hits


def test_a_snippet_shows_the_surroundings_of_the_first_hit() -> None:
    text = "word " * 100 + "the red\nsquare " + "word " * 100
    cut = snippet(text, searched("square"))
    assert cut.text.startswith("…word") and cut.text.endswith("…") and len(cut.text) <= 122
    assert [cut.text[span.start : span.end] for span in cut.hits] == ["square"] and "red square" in cut.text
    assert snippet("short", searched("nothing")) == ("short", ())


@given(st.text(max_size=60), st.text(max_size=10))
def test_spans_lie_within_the_text_whatever_is_typed(text: str, typed: str) -> None:
    cut = snippet(text, searched(typed))
    end = 0
    for span in cut.hits:
        assert end <= span.start <= span.end <= len(cut.text)
        end = span.end


@given(st.text(max_size=40))
def test_every_word_of_a_text_finds_it(text: str) -> None:
    for word in indexed(text).split():
        assert highlights(text, [[word]])

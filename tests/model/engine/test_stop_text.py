"""Whatever the borders of the pieces, the answer is the text up to its first stop text, and no stop flashes up."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.engine.stop_text import StopText

TEXTS = st.text(alphabet="ab# \n", max_size=30)
STOPS = st.lists(st.text(alphabet="ab#", min_size=1, max_size=4), max_size=3)


def cut(text: str, stops: list[str]) -> str:
    found = [position for position in map(text.find, stops) if position >= 0]
    return text[: min(found)] if found else text


def pieces_of(text: str, borders: list[int]) -> list[str]:
    places = sorted({min(border, len(text)) for border in borders} | {0, len(text)})
    return [text[a:b] for a, b in pairwise(places)]


@given(TEXTS, STOPS, st.lists(st.integers(0, 30), max_size=12))
def test_all_that_is_given_back_is_the_text_cut_at_its_first_stop(
    text: str, stops: list[str], borders: list[int]
) -> None:
    stop_text = StopText(stops)
    given_back = "".join(stop_text.feed(piece) for piece in pieces_of(text, borders)) + stop_text.rest()
    assert given_back == cut(text, stops)
    assert stop_text.stopped == any(stop in text for stop in stops)


@given(TEXTS, STOPS, st.lists(st.integers(0, 30), max_size=12))
def test_what_was_shown_is_never_taken_back(text: str, stops: list[str], borders: list[int]) -> None:
    stop_text = StopText(stops)
    fed = shown = ""
    for piece in pieces_of(text, borders):
        fed += piece
        shown += stop_text.feed(piece)
        assert cut(fed, stops).startswith(shown)
        assert not any(
            shown.endswith(stop[:length]) for stop in stops for length in range(1, len(stop)) if fed == shown
        )


def test_a_lone_hash_is_held_until_it_is_clear() -> None:
    stop_text = StopText(["###"])
    assert [stop_text.feed(piece) for piece in ["It is red", "#", "#", " or so"]] == [
        "It is red",
        "",
        "",
        "## or so",
    ]


def test_the_stop_may_come_in_two_tokens() -> None:
    stop_text = StopText(["###"])
    assert [stop_text.feed(piece) for piece in ["Yes.", "##", "#", "Human: forged"]] == ["Yes.", "", "", ""]
    assert stop_text.stopped and stop_text.rest() == ""


def test_a_held_hash_belongs_to_the_answer_when_the_sequence_ends() -> None:
    stop_text = StopText(["###"])
    assert stop_text.feed("C#") == "C"
    assert stop_text.rest() == "#"


def test_an_earlier_longer_stop_wins_over_a_later_shorter_one() -> None:
    stop_text = StopText(["abcd", "c"])
    assert stop_text.feed("xabc") + stop_text.feed("d") + stop_text.rest() == "x"


def test_an_empty_stop_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        StopText(["###", ""])
